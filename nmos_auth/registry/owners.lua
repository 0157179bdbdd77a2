-- One question to the owners of Nodes, decided and remembered in one step. `memory.py` does the same
-- in Python; the tests hold the two together.
--
-- KEYS: ends      sorted set: Node -> when it ends, in milliseconds
--       owners    hash: Node -> client id; a blank and client id -> how many resources it has here
--       places    hash: resource -> "TYPE BIRTH PARENT_BIRTH PARENT"; a Node has 0 and an empty PARENT;
--                 the field "births" has the last BIRTH
--       families  sorted set without scores: "PARENT_BIRTH BIRTH resource", to find what is directly
--                 below; "- BIRTH client id" where what is below has yet to be cleared away
-- ARGV: what, client id, resource id, TYPE, PARENT, TYPE of the parent, lifetime and now in
--       milliseconds, now empty for the time of this server; how many entries to clear away at most;
--       how many a client may have, empty for any number
--
-- A resource gets a new BIRTH each time it is registered while it is not there. It is there while its
-- parent is there with the birth that its place names, and while its Node has not ended. So a
-- resource and all below it are gone as soon as its own entries are, however many there are below;
-- those are cleared away later, a few by each call, and can belong to nobody meanwhile.
--
-- The keys are there together or not at all. Where Redis lost one of them, or they are those of an
-- older version, all is gone: each Node is told so by its next heartbeat, and registers again.

local ends, owners, places, families = unpack(KEYS)
local what, client, id, kind, parent, parent_kind, lifetime, now, step, most = unpack(ARGV)

-- How many Nodes whose time is over one call removes, besides those that it asks for.
local MOST_ENDED = 8
-- How far a resource stands below its Node, at most; the flows of a source of a device do by three.
local MOST_LEVELS = 4

if now == '' then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end
now = tonumber(now)

local function place_of(resource)
    local place = redis.call('HGET', places, resource)
    local kind, birth, parent_birth, parent =
        string.match(place or '', '^(%S+) (%d+) (%d+) (%S*)$')
    return kind and { kind = kind, birth = birth, parent_birth = parent_birth, parent = parent }
end

local function pair_of(resource, place)
    return table.concat({ place.parent_birth, place.birth, resource }, ' ')
end

local function starting_with(prefix, most)
    return redis.call(
        'ZRANGEBYLEX', families, '[' .. prefix .. ' ', '(' .. prefix .. '!', 'LIMIT', 0, most
    )
end

-- The owner of a resource, unless it is gone; and what is there of its place, also if it is gone.
local function owner_of(resource)
    local place = place_of(resource)
    local node, highest = resource, place
    for _ = 1, MOST_LEVELS do
        if not highest or highest.parent == '' then
            break
        end
        local above = place_of(highest.parent)
        if not above or above.birth ~= highest.parent_birth then
            return nil, place
        end
        node, highest = highest.parent, above
    end
    local ending = highest and redis.call('ZSCORE', ends, node)
    if not ending or tonumber(ending) <= now then
        return nil, place
    end
    return redis.call('HGET', owners, node) or nil, place
end

local function count(of_client, more)
    if redis.call('HINCRBY', owners, ' ' .. of_client, more) <= 0 then
        redis.call('HDEL', owners, ' ' .. of_client)
    end
end

-- Have what is below a resource that is gone cleared away later.
local function bury(birth, of_client)
    if #starting_with(birth, 1) > 0 then
        redis.call('ZADD', families, 0, '- ' .. birth .. ' ' .. of_client)
    end
end

local function remove(resource, place, of_client)
    redis.call('HDEL', places, resource)
    redis.call('ZREM', families, pair_of(resource, place))
    if place.parent == '' then
        redis.call('ZREM', ends, resource)
        redis.call('HDEL', owners, resource)
    end
    bury(place.birth, of_client)
    count(of_client, -1)
end

local function remove_node(node, place)
    remove(node, place, redis.call('HGET', owners, node) or '')
end

-- Nodes that nobody asks for end too: a few at a time, so that no call takes long.
local function end_nodes()
    for _, node in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, MOST_ENDED)) do
        local place = place_of(node)
        if place and place.parent == '' then
            remove_node(node, place)
        end
        redis.call('ZREM', ends, node)
        redis.call('HDEL', owners, node)
    end
end

-- A Node that ends later than its lifetime from now was heard of before this clock was set back: it
-- gets a lifetime from now on, so that a dead one does not keep its id for as long as that.
local function follow_the_clock()
    local latest = now + lifetime
    local late = redis.call('ZRANGEBYSCORE', ends, '(' .. latest, '+inf', 'LIMIT', 0, MOST_ENDED)
    for _, node in ipairs(late) do
        redis.call('ZADD', ends, latest, node)
    end
end

local function clear_away(left)
    while left > 0 do
        local grave = starting_with('-', 1)[1]
        if not grave then
            return
        end
        local birth, of_client = string.match(grave, '^%- (%d+) (.*)$')
        local pairs_below = starting_with(birth, left)
        for _, pair in ipairs(pairs_below) do
            local own_birth, resource = string.match(pair, '^%d+ (%d+) (.*)$')
            local place = place_of(resource)
            if place and place.birth == own_birth then -- not registered again meanwhile
                redis.call('HDEL', places, resource)
            end
            redis.call('ZREM', families, pair)
            bury(own_birth, of_client)
        end
        count(of_client, 0 - #pairs_below) -- which is 0 and not -0 where there is none
        if #pairs_below < left then
            redis.call('ZREM', families, grave)
        end
        left = left - 1 - #pairs_below
    end
end

-- Where no Registry asks any more, everything goes by itself soon after the last Node has ended.
local function keep(node)
    redis.call('ZADD', ends, now + lifetime, node)
    for _, key in ipairs(KEYS) do
        redis.call('PEXPIRE', key, lifetime + 1000)
    end
end

local function register()
    local owner, place = owner_of(id)
    if owner and owner ~= client then
        return 'refused'
    end
    local parent_birth = 0
    if parent ~= '' then
        local parent_owner, parent_place = owner_of(parent)
        if parent_owner and parent_owner ~= client then
            return 'refused'
        end
        if not parent_owner or parent_place.kind ~= parent_kind then
            return 'absent'
        end
        parent_birth = parent_place.birth
    end
    local birth
    if owner then
        if place.kind ~= kind then
            return 'absent'
        end
        birth = place.birth
        redis.call('ZREM', families, pair_of(id, place))
    else
        if most ~= '' and tonumber(redis.call('HGET', owners, ' ' .. client) or 0) >= tonumber(most) then
            return 'full'
        end
        if place and place.parent == '' then
            remove_node(id, place)
        end
        birth = redis.call('HINCRBY', places, 'births', 1)
        count(client, 1)
    end
    redis.call('HSET', places, id, table.concat({ kind, birth, parent_birth, parent }, ' '))
    redis.call('ZADD', families, 0, table.concat({ parent_birth, birth, id }, ' '))
    if parent == '' then
        redis.call('HSET', owners, id, client)
        keep(id)
    end
    return owner and 'done' or 'created'
end

local function change(make)
    local owner, place = owner_of(id)
    if not owner then
        return 'absent'
    elseif owner ~= client then
        return 'refused'
    elseif place.kind ~= kind then
        return 'absent'
    end
    make(id, place, client)
    return 'done'
end

local function forget_all()
    redis.call('UNLINK', unpack(KEYS))
end

if redis.call('EXISTS', unpack(KEYS)) < #KEYS or redis.call('HEXISTS', places, 'births') == 0 then
    forget_all()
end
end_nodes()
follow_the_clock()
clear_away(tonumber(step))
local answer
if what == 'register' then
    answer = register()
elseif what == 'delete' then
    answer = change(remove)
else
    answer = change(keep)
end
if redis.call('EXISTS', ends) == 0 then
    forget_all() -- whatever is left belongs to no Node
end
return answer
