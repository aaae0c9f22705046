// A provider of OpenID Connect for the tests: the npm package oidc-provider with people who log in by themselves, and
// with ways to answer wrongly. `PACKAGES` is the folder that has node_modules.
//
// POST /control takes {"people": {id: claims}, "wrong": name or null} and answers what was asked so far.
// A browser says who it is by `login_hint`; "denied" does not want to log in.
import { createHmac, createPrivateKey, generateKeyPairSync, sign } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.env.PACKAGES, "package.json"));
const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);

const key = (kid, alg, type, options) => {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: "jwk" }), kid, alg, use: "sig" };
};
const rsa = () => ["rsa", { modulusLength: 2048 }];
const keys = [
  key("rsa", "RS256", ...rsa()),
  key("ec", "ES256", "ec", { namedCurve: "P-256" }),
  key("ed", "EdDSA", "ed25519", {}),
];
const stray = key("rsa", "RS256", ...rsa());
const next = key("next", "RS256", ...rsa());
const shown = ({ d, p, q, dp, dq, qi, ...open }) => open;

const people = new Map();
const asked = { keys: 0, tokens: 0 };
let wrong = null;

const server = createServer((request, response) => handle(request, response));
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const issuer = `http://127.0.0.1:${server.address().port}`;
const redirects = process.env.REDIRECTS.split(",");
const client = (client_id, alg, method) => ({
  client_id,
  client_secret: method === "none" ? undefined : "a secret & more",
  token_endpoint_auth_method: method,
  id_token_signed_response_alg: alg,
  redirect_uris: redirects,
  grant_types: ["authorization_code"],
  response_types: ["code"],
});

const provider = new Provider(issuer, {
  clients: [
    client("eventus", "RS256", "client_secret_basic"),
    client("eventus ec", "ES256", "client_secret_post"),
    client("eventus ed", "EdDSA", "none"),
  ],
  jwks: { keys },
  enabledJWA: { idTokenSigningAlgValues: ["RS256", "ES256", "EdDSA"] },
  claims: {
    openid: ["sub"],
    email: ["email", "email_verified"],
    profile: ["given_name", "family_name"],
    groups: ["groups"],
  },
  cookies: { keys: ["of the tests"] },
  features: { devInteractions: { enabled: false } },
  pkce: { methods: ["S256"], required: () => true },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ ...people.get(id), sub: id }) }),
  async loadExistingGrant(ctx) {
    const { client, session } = ctx.oidc;
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope("openid email profile groups");
    await grant.save();
    return grant;
  },
});

const base64 = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const signed = (header, claims, by) => {
  const text = `${base64(header)}.${base64(claims)}`;
  return `${text}.${sign("sha256", Buffer.from(text), createPrivateKey({ key: by, format: "jwk" })).toString("base64url")}`;
};
const hmac = (claims, secret) => {
  const text = `${base64({ alg: "HS256", kid: "rsa" })}.${base64(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
};

// What an id token may be instead of what it should be.
const now = () => Math.floor(Date.now() / 1000);
const header = { alg: "RS256", kid: "rsa" };
const changed = (more) => (claims) => signed(header, { ...claims, ...more() }, keys[0]);
const wrongs = {
  nonce: changed(() => ({ nonce: "another" })),
  no_nonce: changed(() => ({ nonce: undefined })),
  audience: changed(() => ({ aud: "another" })),
  audiences: changed(() => ({ aud: ["eventus", "another"] })),
  party: changed(() => ({ azp: "another" })),
  issuer: changed(() => ({ iss: "https://another.example" })),
  expired: changed(() => ({ exp: now() - 1 })),
  future: changed(() => ({ iat: now() + 3600 })),
  not_yet: changed(() => ({ nbf: now() + 3600 })),
  person: changed(() => ({ sub: "mallory" })),
  none: (claims) => `${base64({ alg: "none" })}.${base64(claims)}.`,
  none_kid: (claims) => `${base64({ alg: "none", kid: "rsa" })}.${base64(claims)}.`,
  hmac_key: (claims) => hmac(claims, keys[0].n),
  hmac_secret: (claims) => hmac(claims, "a secret & more"),
  stray: (claims) => signed(header, claims, stray),
  unknown: (claims) => signed({ alg: "RS256", kid: "unknown" }, claims, stray),
  algorithm: (claims) => signed({ alg: "RS256", kid: "ec" }, claims, keys[0]),
  turned: (claims) => signed({ alg: "RS256", kid: "next" }, claims, next),
};

provider.use(async (ctx, go) => {
  await go();
  if (ctx.path === "/token") asked.tokens += 1;
  if (ctx.path === "/token" && ctx.body?.id_token && wrongs[wrong]) {
    const claims = JSON.parse(Buffer.from(ctx.body.id_token.split(".")[1], "base64url"));
    ctx.body = { ...ctx.body, id_token: wrongs[wrong](claims) };
  }
  if (ctx.path === "/me" && wrong === "owner") ctx.body = { ...ctx.body, sub: "mallory" };
  if (ctx.path === "/jwks") {
    asked.keys += 1;
    if (wrong === "turned") ctx.body = { keys: [...keys, next].map(shown) };
  }
  if (ctx.path.endsWith("/openid-configuration") && wrong === "discovery") {
    ctx.body = { ...ctx.body, issuer: "https://another.example" };
  }
});
const callback = provider.callback();

async function consent(clientId, accountId) {
  const grant = new provider.Grant({ clientId, accountId });
  grant.addOIDCScope("openid email profile groups");
  return { consent: { grantId: await grant.save() } };
}

async function interact(request, response) {
  const { params, prompt, session } = await provider.interactionDetails(request, response);
  const who = params.login_hint;
  let result = { login: { accountId: who } };
  if (who === "denied") result = { error: "access_denied", error_description: "no" };
  else if (prompt.name === "consent") result = await consent(params.client_id, session.accountId);
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

async function handle(request, response) {
  try {
    if (request.url.startsWith("/interaction/")) return await interact(request, response);
    if (request.url !== "/control") return callback(request, response);
    let text = "";
    for await (const part of request) text += part;
    const told = JSON.parse(text || "{}");
    Object.entries(told.people ?? {}).forEach(([id, claims]) => people.set(id, claims));
    if ("wrong" in told) wrong = told.wrong;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(asked));
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error));
  }
}
console.log(issuer);
