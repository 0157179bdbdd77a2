-- One question to the owners of Nodes, decided and remembered in one step. `memory.py` says the same
-- in Python; the tests hold the two together.
--
-- KEYS: ends      sorted set: Node -> when it ends, in milliseconds
--       owners    hash: Node -> client id
--       places    hash: resource -> "TYPE PARENT", where a Node has an empty PARENT
--       families  sorted set without scores: "PARENT resource", for finding what is directly below
-- ARGV: what, client id, resource id, TYPE, PARENT, TYPE of the parent, lifetime and now in
--       milliseconds, now empty for the time of this server

local ends, owners, places, families = unpack(KEYS)
local what, client, id, kind, parent, parent_kind, lifetime, now = unpack(ARGV)

if now == '' then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end
now = tonumber(now)

local function place_of(resource)
    local place = redis.call('HGET', places, resource)
    if place then
        return string.match(place, '^(%S+) (%S*)$')
    end
end

local function remove(resource)
    local first = resource .. ' '
    for _, pair in ipairs(redis.call('ZRANGEBYLEX', families, '[' .. first, '(' .. resource .. '!')) do
        remove(string.sub(pair, #first + 1))
    end
    local _, above = place_of(resource)
    redis.call('ZREM', families, above .. ' ' .. resource)
    redis.call('HDEL', places, resource)
    redis.call('HDEL', owners, resource)
    redis.call('ZREM', ends, resource)
end

-- The owner of a resource that is there; a Node whose time is over is removed on the way.
local function owner_of(resource)
    local node, above, _ = resource, nil, nil
    repeat
        _, above = place_of(node)
        if above == nil then
            return nil
        elseif above ~= '' then
            node = above
        end
    until above == ''
    if tonumber(redis.call('ZSCORE', ends, node)) > now then
        return redis.call('HGET', owners, node) or error('a Node without an owner')
    end
    remove(node)
    return nil
end

-- Where no Registry asks any more, everything goes by itself soon after the last Node has ended.
local function stay()
    for _, key in ipairs(KEYS) do
        redis.call('PEXPIRE', key, lifetime + 1000)
    end
end

local function keep(node)
    redis.call('ZADD', ends, now + lifetime, node)
    stay()
end

local function register()
    local owner = owner_of(id)
    if owner and owner ~= client then
        return 'refused'
    end
    if parent ~= '' then
        local parent_owner = owner_of(parent)
        if parent_owner and parent_owner ~= client then
            return 'refused'
        end
        if not parent_owner or place_of(parent) ~= parent_kind then
            return 'absent'
        end
    end
    if owner then
        local known_kind, known_parent = place_of(id)
        if known_kind ~= kind then
            return 'absent'
        end
        redis.call('ZREM', families, known_parent .. ' ' .. id)
    end
    redis.call('HSET', places, id, kind .. ' ' .. parent)
    if parent ~= '' then
        redis.call('ZADD', families, 0, parent .. ' ' .. id)
        stay()
    else
        redis.call('HSET', owners, id, client)
        keep(id)
    end
    return owner and 'done' or 'created'
end

local function change(make)
    local owner = owner_of(id)
    if not owner then
        return 'absent'
    elseif owner ~= client then
        return 'refused'
    elseif place_of(id) ~= kind then
        return 'absent'
    end
    make(id)
    return 'done'
end

-- Nodes that nobody asks for are forgotten too; a few at a time, so that no request waits long.
for _, node in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 8)) do
    remove(node)
end
if what == 'register' then
    return register()
elseif what == 'delete' then
    return change(remove)
end
return change(keep)
