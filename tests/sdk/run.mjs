// The official JavaScript SDK, unchanged, against a gateway. Any deviation throws and fails the system suite.
// Environment: URL, TOKEN (static, of an admin), EMAIL, PASSWORD, PACKAGES (folder whose node_modules has the SDK).
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const { URL: url, TOKEN: token, EMAIL: email, PASSWORD: password, PACKAGES: packages } = process.env;
const sdk = createRequire(resolve(packages, 'any.js'))('@directus/sdk');
const { createDirectus, rest, authentication, staticToken } = sdk;

const admin = createDirectus(url).with(staticToken(token)).with(rest());
const nobody = createDirectus(url).with(rest());
const field = (field, type, more = {}) => ({ field, type, meta: {}, schema: {}, ...more });

async function refused(promise, status, code) {
  const error = await promise.then(() => assert.fail(`not refused: ${status} ${code}`), (error) => error);
  assert.ok(sdk.isDirectusError(error), `no error of the SDK: ${error}`);
  assert.equal(error.response.status, status);
  assert.equal(error.errors[0].extensions.code, code);
  assert.equal(typeof error.errors[0].message, 'string');
  return error;
}

async function schema() {
  const fields = [field('title', 'string', { schema: { is_unique: true } }), field('words', 'integer'), field('extra', 'json')];
  const made = await admin.request(sdk.createCollection({ collection: 'notes', meta: { icon: 'note' }, schema: {}, fields }));
  assert.equal(made.collection, 'notes');
  await admin.request(sdk.createField('notes', field('active', 'boolean')));
  assert.deepEqual((await admin.request(sdk.readFieldsByCollection('notes'))).map(({ field }) => field).sort(), ['active', 'extra', 'id', 'title', 'words']);
  assert.equal((await admin.request(sdk.readField('notes', 'words'))).type, 'integer');
  assert.equal((await admin.request(sdk.updateCollection('notes', { meta: { note: 'texts' } }))).meta.note, 'texts');
  assert.ok((await admin.request(sdk.readCollections())).some(({ collection }) => collection === 'notes'));
  await admin.request(sdk.createCollection({ collection: 'site', meta: { singleton: true }, schema: {}, fields: [field('name', 'string', { schema: { default_value: 'Unnamed' } })] }));
  assert.deepEqual(await admin.request(sdk.readSingleton('site')), { id: null, name: 'Unnamed' });
}

async function files() {
  const file = (text, type) => { const form = new FormData(); form.append('file', new Blob([text], { type }), 'notes'); return form; };
  await admin.request(sdk.utilsImport('notes', file('title,words\nfrom csv,3\n', 'text/csv')));
  await admin.request(sdk.utilsImport('notes', file('[{"title":"from json","extra":{"a":1}}]', 'application/json')));
  const theirs = { title: { _starts_with: 'from ' } };
  const found = await admin.request(sdk.readItems('notes', { fields: ['title', 'words', 'extra'], filter: theirs, sort: ['title'] }));
  assert.deepEqual(found, [{ title: 'from csv', words: 3, extra: null }, { title: 'from json', words: null, extra: { a: 1 } }]);
  await refused(admin.request(sdk.utilsImport('notes', file('title\nfrom csv\n', 'text/csv'))), 400, 'RECORD_NOT_UNIQUE');
  await refused(nobody.request(sdk.utilsImport('notes', file('title\nx\n', 'text/csv'))), 403, 'FORBIDDEN');
  await admin.request(sdk.deleteItems('notes', { filter: theirs }));
}

async function relations() {
  const many = { collection: 'folios', schema: {}, meta: {}, fields: [field('note', 'integer'), field('any', 'string'), field('kind', 'string')] };
  await admin.request(sdk.createCollection(many));
  await admin.request(sdk.createField('notes', { field: 'folios', type: 'alias', meta: { special: ['o2m'] }, schema: null }));
  const made = await admin.request(sdk.createRelation({
    collection: 'folios', field: 'note', related_collection: 'notes', meta: { one_field: 'folios' }, schema: { on_delete: 'SET NULL' },
  }));
  assert.deepEqual([made.schema.foreign_key_table, made.schema.on_delete, made.meta.one_field], ['notes', 'SET NULL', 'folios']);
  await admin.request(sdk.createRelation({
    collection: 'folios', field: 'any', related_collection: null, meta: { one_collection_field: 'kind', one_allowed_collections: ['notes', 'site'] },
  }));
  assert.equal((await admin.request(sdk.readRelationByCollection('folios'))).length, 2);
  assert.deepEqual((await admin.request(sdk.readRelation('folios', 'any'))).meta.one_allowed_collections, ['notes', 'site']);
  const changed = await admin.request(sdk.updateRelation('folios', 'note', { schema: { on_delete: 'CASCADE' }, meta: { one_deselect_action: 'delete' } }));
  assert.deepEqual([changed.schema.on_delete, changed.meta.one_deselect_action], ['CASCADE', 'delete']);
  assert.ok((await admin.request(sdk.readRelations())).some(({ meta }) => meta?.system));
  assert.equal((await admin.request(sdk.updateField('folios', 'kind', { meta: { note: 'which' }, schema: { max_length: 64 } }))).schema.max_length, 64);
  const both = await admin.request(sdk.updateFields('folios', [{ field: 'note', meta: { sort: 2 } }, { field: 'kind', meta: { sort: 1 } }]));
  assert.deepEqual(both.map(({ meta }) => meta.sort), [2, 1]);
  const batch = [{ collection: 'folios', meta: { sort: 1 } }, { collection: 'notes', meta: { sort: 2 } }];
  assert.deepEqual((await admin.request(sdk.updateCollectionsBatch(batch))).map(({ meta }) => meta.sort), [1, 2]);
  assert.ok((await admin.request(sdk.readFields())).some(({ collection, field }) => collection === 'folios' && field === 'any'));
  await admin.request(sdk.deleteRelation('folios', 'any'));
  await admin.request(sdk.deleteField('folios', 'any'));
  await refused(admin.request(sdk.readField('folios', 'any')), 403, 'FORBIDDEN');
  const note = await admin.request(sdk.createItem('notes', { title: 'with folios' }));
  await admin.request(sdk.createItems('folios', [{ note: note.id }, { note: note.id }]));
  await admin.request(sdk.deleteItem('notes', note.id));
  assert.deepEqual(await admin.request(sdk.readItems('folios')), []);
  await admin.request(sdk.deleteCollection('folios'));
  await refused(admin.request(sdk.readField('notes', 'folios')), 403, 'FORBIDDEN');
  await admin.request(sdk.updateCollectionsBatch([{ collection: 'notes', meta: { sort: null } }]));
  assert.ok((await admin.request(sdk.readOpenApiSpec())).paths['/items/notes']);
  const [last] = await admin.request(sdk.readRevisions({ filter: { collection: { _eq: 'notes' } }, sort: '-id', limit: 1 }));
  assert.equal(last.delta.title, 'with folios');
}

async function documents() {
  const before = await admin.request(sdk.schemaSnapshot());
  assert.deepEqual([before.version, before.directus, before.vendor], [1, '11.17.4', 'postgres']);
  const wanted = structuredClone(before);
  wanted.collections.push({ collection: 'labels', meta: { note: 'from a document' }, schema: { name: 'labels' } });
  const key = { is_primary_key: true, has_auto_increment: true };
  wanted.fields.push({ collection: 'labels', field: 'id', type: 'integer', meta: { hidden: true }, schema: key });
  wanted.fields.push({ collection: 'labels', field: 'text', type: 'string', meta: { note: null }, schema: { max_length: 40 } });
  const diff = await admin.request(sdk.schemaDiff(wanted));
  assert.deepEqual([diff.diff.collections.length, diff.diff.fields.length, diff.diff.relations.length], [1, 2, 0]);
  await admin.request(sdk.schemaApply(diff));
  assert.equal((await admin.request(sdk.readField('labels', 'text'))).schema.max_length, 40);
  await admin.request(sdk.createItem('labels', { text: 'a' }));
  await refused(admin.request(sdk.schemaApply(diff)), 400, 'INVALID_PAYLOAD');
  assert.equal(await admin.request(sdk.schemaDiff(wanted)), null);
  await admin.request(sdk.schemaApply(await admin.request(sdk.schemaDiff(before))));
  assert.deepEqual(await admin.request(sdk.schemaSnapshot()), before);
  await refused(nobody.request(sdk.schemaSnapshot()), 403, 'FORBIDDEN');
}

async function items(client) {
  const one = await client.request(sdk.createItem('notes', { title: 'one', words: 1, extra: { a: [1, null, 'x'] }, active: true }));
  assert.deepEqual(one, { id: 1, title: 'one', words: 1, extra: { a: [1, null, 'x'] }, active: true });
  const more = await client.request(sdk.createItems('notes', [{ title: 'two', words: 2 }, { title: '50% _\\ ', words: 3 }], { fields: ['id', 'words'] }));
  assert.deepEqual(more, [{ id: 2, words: 2 }, { id: 3, words: 3 }]);
  assert.deepEqual(await client.request(sdk.readItem('notes', 1, { fields: ['title'] })), { title: 'one' });
  const filter = { _and: [{ words: { _gte: 2 } }, { _or: [{ title: { _contains: '% _\\' } }, { id: { _in: [2] } }] }] };
  const query = { fields: ['id'], filter, sort: ['-words'], limit: 10 };
  assert.deepEqual(await client.request(sdk.readItems('notes', query)), [{ id: 3 }, { id: 2 }]);
  assert.deepEqual(await client.request(sdk.withSearch(sdk.readItems('notes', query))), [{ id: 3 }, { id: 2 }]);
  assert.deepEqual(await client.request(sdk.readItems('notes', { fields: ['id'], limit: 1, page: 2, sort: 'id' })), [{ id: 2 }]);
  assert.deepEqual(await client.request(sdk.updateItem('notes', 1, { title: 'uno' }, { fields: ['id', 'title'] })), { id: 1, title: 'uno' });
  const both = await client.request(sdk.updateItems('notes', [1, 2], { active: false }, { fields: ['id', 'active'] }));
  assert.deepEqual(both, [{ id: 1, active: false }, { id: 2, active: false }]);
  const each = await client.request(sdk.updateItemsBatch('notes', [{ id: 1, words: 10 }, { id: 2, title: 'dos' }], { fields: ['id', 'title', 'words'] }));
  assert.deepEqual(each, [{ id: 1, title: 'uno', words: 10 }, { id: 2, title: 'dos', words: 2 }]);
  await client.request(sdk.deleteItem('notes', 1));
  await client.request(sdk.deleteItems('notes', [2]));
  await client.request(sdk.deleteItems('notes', { filter: { words: { _eq: 3 } } }));
  assert.deepEqual(await client.request(sdk.readItems('notes')), []);
}

async function system() {
  const role = await admin.request(sdk.createRole({ name: 'Editor' }));
  const policy = await admin.request(sdk.createPolicy({ name: 'Editing', ip_access: ['::1'] }));
  assert.deepEqual(policy.ip_access, ['::1']);
  const rule = { policy: policy.id, collection: 'notes', action: 'read', fields: ['id', 'title'], permissions: { id: { _gt: 0 } } };
  const permission = await admin.request(sdk.createPermission(rule));
  assert.deepEqual([permission.fields, permission.permissions], [rule.fields, rule.permissions]);
  const user = await admin.request(sdk.createUser({ email: 'sdk@example.com', password: 'sdk password', role: role.id, tags: ['a'] }));
  assert.deepEqual([user.password, user.tags, user.status], ['**********', ['a'], 'active']);
  assert.ok((await nobody.request(sdk.login({ email: 'SDK@example.com', password: 'sdk password' }))).access_token);
  assert.equal((await admin.request(sdk.updateUser(user.id, { title: 'Dr' }, { fields: ['title'] }))).title, 'Dr');
  assert.deepEqual(await admin.request(sdk.readUsers({ fields: ['email'], filter: { role: { _eq: role.id } } })), [{ email: 'sdk@example.com' }]);
  assert.deepEqual(await admin.request(sdk.updateSettings({ project_descriptor: 'Tests' }, { fields: ['project_descriptor'] })), { project_descriptor: 'Tests' });
  assert.equal((await admin.request(sdk.readSettings())).project_descriptor, 'Tests');
  assert.equal((await admin.request(sdk.updateSingleton('site', { name: 'Named' }))).name, 'Named');
  assert.deepEqual(await admin.request(sdk.updateMe({ title: 'Prof' }, { fields: ['title'] })), { title: 'Prof' });
  await refused(admin.request(sdk.createFlow({ name: 'f', status: 'active' })), 400, 'INVALID_PAYLOAD');
  await refused(admin.request(sdk.deleteUsers((await admin.request(sdk.readUsers())).map(({ id }) => id))), 422, 'UNPROCESSABLE_CONTENT');
  await admin.request(sdk.deleteUser(user.id));
  await admin.request(sdk.deleteRole(role.id));
  await admin.request(sdk.deletePolicy(policy.id));
  assert.deepEqual((await admin.request(sdk.readPermissions())).filter(({ system }) => !system), []);
  await admin.request(sdk.readActivities());
}

async function logins() {
  const client = createDirectus(url).with(authentication('json', { autoRefresh: false })).with(rest());
  const first = await client.login({ email, password });
  assert.deepEqual([first.expires, first.refresh_token.length, typeof first.expires_at], [900000, 64, 'number']);
  assert.equal((await client.request(sdk.readMe({ fields: ['email'] }))).email, email);
  const second = await client.refresh();
  assert.notEqual(second.refresh_token, first.refresh_token);
  await client.request(sdk.createItem('notes', { title: 'by login' }));
  await client.request(sdk.deleteItems('notes', { filter: { title: 'by login' } }));
  await client.logout();
  assert.equal(await client.getToken(), null);
  await refused(nobody.request(sdk.refresh({ mode: 'json', refresh_token: second.refresh_token })), 401, 'INVALID_CREDENTIALS');
  await refused(nobody.request(sdk.login({ email, password: 'wrong' })), 401, 'INVALID_CREDENTIALS');
  assert.deepEqual(await nobody.request(sdk.readProviders()), []);
}

// A browser on a page of the host: it keeps cookies, and says where what changes something comes from.
function browser() {
  const jar = new Map();
  const fetched = [];
  const own = async (target, options = {}) => {
    const headers = new Headers(options.headers);
    const cookies = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    if (cookies !== '' && options.credentials === 'include') headers.set('cookie', cookies);
    if ((options.method ?? 'GET') !== 'GET') headers.set('origin', new globalThis.URL(url).origin);
    const answer = await fetch(target, { ...options, headers });
    fetched.push(new globalThis.URL(target).pathname);
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (value === '' || /expires=Thu, 01 Jan 1970/i.test(line)) jar.delete(name); else jar.set(name, value);
    }
    return answer;
  };
  return { jar, fetched, fetch: own };
}

// Every mode, each refreshed by the SDK itself shortly after the login.
async function modes() {
  const early = 900000 - 300;
  const me = (client) => client.request(sdk.readMe({ fields: ['email'] }));
  const until = async (holds) => { for (const end = Date.now() + 15000; !(await holds());) { assert.ok(Date.now() < end, 'the SDK refreshed nothing'); await new Promise((resolve) => { setTimeout(resolve, 20); }); } };

  for (const mode of ['json', 'cookie', 'session']) {
    const { jar, fetched, fetch: own } = browser();
    const lifetime = mode === 'session' ? 86400000 - 300 : early;
    const client = createDirectus(url, { globals: { fetch: own } })
      .with(authentication(mode, { credentials: 'include', autoRefresh: true, msRefreshBeforeExpires: lifetime }))
      .with(rest({ credentials: 'include' }));
    const first = await client.login({ email, password });
    assert.equal(first.refresh_token !== null && first.refresh_token !== undefined, mode === 'json');
    assert.deepEqual([...jar.keys()], { json: [], cookie: ['directus_refresh_token'], session: ['directus_session_token'] }[mode]);
    assert.equal((await me(client)).email, email);
    const before = [...jar.values()];
    await until(() => fetched.includes('/auth/refresh'));
    if (mode !== 'json') await until(() => jar.size === 1 && jar.values().next().value !== before[0]);
    assert.equal((await me(client)).email, email);
    client.stopRefreshing();
    await client.logout();
    assert.equal(await client.getToken(), null);
    await refused(me(client), 401, 'INVALID_CREDENTIALS');
    assert.deepEqual([...jar.keys()], []);
  }
  const fixed = createDirectus(url).with(staticToken('wrong')).with(rest());
  await refused(me(fixed), 401, 'INVALID_CREDENTIALS');
  await fixed.setToken(token);
  assert.equal((await me(fixed)).email, email);
}

function otp(secret, steps) {
  const bits = [...secret].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + steps));
  const tag = createHmac('sha1', key).update(step).digest();
  return String((tag.readUInt32BE(tag[19] & 15) & 0x7fffffff) % 1000000).padStart(6, '0');
}

async function mailed(to) {
  const [mail] = (await admin.request(sdk.customEndpoint({ path: '/mails', method: 'GET' }))).filter((mail) => mail.to === to);
  return mail.text.match(/token=([\w.-]+)/)[1];
}

async function accounts() {
  const role = await admin.request(sdk.createRole({ name: 'Guest' }));
  const guest = 'guest@example.com';
  await admin.request(sdk.inviteUser(guest, role.id));
  await nobody.request(sdk.acceptUserInvite(await mailed(guest), 'first password'));
  await nobody.request(sdk.passwordRequest(guest));
  await refused(nobody.request(sdk.passwordRequest(guest, 'https://evil.example')), 400, 'INVALID_PAYLOAD');
  await nobody.request(sdk.passwordReset(await mailed(guest), 'second password'));
  await refused(nobody.request(sdk.login({ email: guest, password: 'first password' })), 401, 'INVALID_CREDENTIALS');
  const client = createDirectus(url).with(authentication('json', { autoRefresh: false })).with(rest());
  await client.login({ email: guest, password: 'second password' });
  const { secret } = await client.request(sdk.generateTwoFactorSecret('second password'));
  await client.request(sdk.enableTwoFactor(secret, otp(secret, 0)));
  await refused(nobody.request(sdk.login({ email: guest, password: 'second password' })), 401, 'INVALID_OTP');
  await nobody.request(sdk.login({ email: guest, password: 'second password' }, { otp: otp(secret, 1) }));
  await refused(client.request(sdk.disableTwoFactor('000000')), 400, 'INVALID_PAYLOAD');
  await refused(nobody.request(sdk.registerUser('new@example.com', 'a password')), 403, 'FORBIDDEN');
  await admin.request(sdk.updateSettings({ public_registration: true }));
  await nobody.request(sdk.registerUser('new@example.com', 'a password', { first_name: 'New' }));
  const [made] = await admin.request(sdk.readUsers({ filter: { email: { _eq: 'new@example.com' } }, fields: ['status', 'first_name'] }));
  assert.deepEqual(made, { status: 'unverified', first_name: 'New' });
  assert.equal((await admin.request(sdk.randomString(20))).length, 20);
  const hash = await admin.request(sdk.generateHash('x'));
  assert.deepEqual([await admin.request(sdk.verifyHash('x', hash)), await admin.request(sdk.verifyHash('y', hash))], [true, false]);
}

async function errors() {
  await refused(nobody.request(sdk.readMe()), 401, 'INVALID_CREDENTIALS');
  await refused(nobody.request(sdk.readItems('notes')), 403, 'FORBIDDEN');
  await refused(admin.request(sdk.readItems('nope')), 403, 'FORBIDDEN');
  await refused(admin.request(sdk.readItem('notes', 999)), 403, 'FORBIDDEN');
  await refused(admin.request(sdk.readItems('notes', { filter: { words: { _foo: 1 } } })), 400, 'INVALID_QUERY');
  await admin.request(sdk.createItem('notes', { title: 'same' }));
  const twice = await refused(admin.request(sdk.createItem('notes', { title: 'same' })), 400, 'RECORD_NOT_UNIQUE');
  assert.equal(twice.errors[0].extensions.field, 'title');
}

async function server() {
  assert.equal(await nobody.request(sdk.serverPing()), 'pong');
  assert.equal((await nobody.request(sdk.serverInfo())).project.project_name, 'Directus');
  assert.equal((await admin.request(sdk.serverHealth())).status, 'ok');
}

for (const part of [server, schema, documents, () => items(admin), files, relations, system, logins, modes, accounts, errors]) await part();
console.log('sdk ok');
