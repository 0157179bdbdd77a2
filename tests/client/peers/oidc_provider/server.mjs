// A certified Authorization Server that none of the project wrote, configured for IS-10.
//
// Reads one line of JSON from standard input: {path, certificate, key, tokenLifetime, ...}; prints
// one line of JSON, {issuer}, when it serves; ends when standard input is closed.
import { once } from "node:events";
import { request as httpsRequest, createServer } from "node:https";
import { createInterface } from "node:readline";
import { generateKeyPairSync } from "node:crypto";

import { Provider } from "oidc-provider";

const SCOPES = ["registration", "query", "node", "connection", "events", "channelmapping"];
const RESOURCE = "urn:nmos";

const lines = createInterface({ input: process.stdin });
const [line] = await once(lines, "line");
const options = JSON.parse(line);
lines.on("close", () => process.exit(0));

// Takes the place of a fetch that refuses loopback addresses, as it should anywhere else.
function fetchFromLoopback(url) {
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(url, { agent: false, ca: options.ca }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => {
        const headers = { "content-type": answer.headers["content-type"] ?? "application/json" };
        resolve(new Response(Buffer.concat(chunks), { status: answer.statusCode, headers }));
      });
    });
    sent.on("error", reject);
    sent.end();
  });
}

function claimsOf(scope) {
  const claims = {};
  for (const each of scope) claims[`x-nmos-${each}`] = { read: ["*"], write: ["*"] };
  return claims;
}

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const signingKey = { ...privateKey.export({ format: "jwk" }), alg: "RS512", use: "sig", kid: "one" };

const server = createServer({ cert: options.certificate, key: options.key });
server.listen(0, "127.0.0.1");
await once(server, "listening");
const origin = `https://localhost:${server.address().port}`;
const issuer = origin + options.path;

const provider = new Provider(issuer, {
  scopes: ["openid", "offline_access", ...SCOPES],
  claims: { openid: ["sub"] },
  jwks: { keys: [signingKey] },
  cookies: { keys: ["only for tests"] },
  fetch: fetchFromLoopback,
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  clientAuthMethods: ["private_key_jwt", "client_secret_basic", "none"],
  enabledJWA: {
    clientAuthSigningAlgValues: options.assertionAlgorithms ?? ["RS512"],
    idTokenSigningAlgValues: ["RS512"],
  },
  clientDefaults: { id_token_signed_response_alg: "RS512" },
  responseTypes: ["code"],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed("refresh_token"),
  extraTokenClaims: (ctx, token) => claimsOf(token.scope ? token.scope.split(" ") : []),
  ttl: {
    AccessToken: options.tokenLifetime,
    ClientCredentials: options.tokenLifetime,
    RefreshToken: 3600,
    Interaction: 600,
    Session: 600,
    Grant: 3600,
    IdToken: 600,
  },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    revocation: { enabled: true },
    registration: {
      enabled: true,
      initialAccessToken: options.initialAccessToken ?? false,
      idFactory: () => crypto.randomUUID(),
    },
    registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: SCOPES.join(" "),
        audience: "*.example.com",
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "RS512" } },
      }),
    },
  },
});

const serve = provider.callback();
const WELL_KNOWN = "/.well-known/oauth-authorization-server";
server.on("request", (request, response) => {
  // RFC 8414 Section 3.1 puts the well-known part before the issuer's path, the library behind it.
  if (request.url === WELL_KNOWN + options.path) {
    request.url = `${options.path}/.well-known/openid-configuration`;
  }
  if (options.path && request.url.startsWith(`${options.path}/`)) {
    request.originalUrl = request.url;
    request.url = request.url.slice(options.path.length);
  }
  serve(request, response);
});

console.log(JSON.stringify({ issuer }));
