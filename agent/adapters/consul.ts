/** Consul's HTTP API, as far as we use it, and what its refusals mean. */
import type { Consul, KeyChange } from '../consul/ports.ts';
import { checkId, keyFlag } from '../core/consul-names.ts';
import type { ObservedKey, ObservedService } from '../core/consul-plan.ts';
import type { CheckProbe, CheckStatus } from '../core/consul-records.ts';
import { lastWords } from '../core/last-words.ts';
import type { ConsulAddress, ConsulSettings } from '../core/spec.ts';
import { AppFleetError, inWords, messageOf } from '../errors.ts';
import { createLimit } from '../net/limit.ts';
import type { Files } from '../ports.ts';
import { takeLock } from './consul-lock.ts';
import { belowFolder, watchFolder } from './consul-watch.ts';
import { type KeyOperation, openWire, type Secrets, type Wire } from './consul-wire.ts';

/*
 * INVARIANTS
 * - The package is loaded at the first call and by consul-wire.ts only; the program has it as a file of its own.
 * - Every call has a limit in time and in number: a Consul that hangs costs some sockets, never a pass.
 * - An empty list is no proof: without a token that may read, Consul answers with one.
 */

const callTimeoutMs = 5000;
const sockets = 16;
/** Consul refuses more operations in one transaction (413). */
const longestTransaction = 64;

const verbs = { passing: 'pass', warning: 'warn', critical: 'fail' } as const;

const statusOf = (error: unknown): number =>
  error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 0;

/** What Consul said beside the status; the package shows short plain texts only. */
const bodyOf = (error: unknown): string => {
  const body = (error as { response?: { body?: unknown } }).response?.body;
  const text = Buffer.isBuffer(body) ? body.toString('utf8') : typeof body === 'string' ? body : '';
  return lastWords(text, 1);
};

const hints: Readonly<Record<number, string>> = {
  400: 'see: journalctl -u consul',
  403: 'give the token in token_file the rights that README lists',
  413: 'raise limits.txn_max_req_len or limits.kv_max_value_size of Consul',
  429: 'raise limits of Consul, or wait',
};

export const placeOf = (address: ConsulAddress): string =>
  address.kind === 'unix'
    ? `unix://${address.path}`
    : `${address.kind}://${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;

export interface ConsulOptions {
  /** What others see in a lock that we hold. */
  hostName: string;
  /** Wins over the token in a file. */
  token: string | null;
}

export const createConsul = (
  settings: ConsulSettings,
  files: Pick<Files, 'read'>,
  { hostName, token: given }: ConsulOptions,
): Consul => {
  const place = placeOf(settings.address);
  const limit = createLimit(sockets);
  let opened: Promise<Wire> | null = null;

  const failure = (what: string, error: unknown): AppFleetError => {
    if (error instanceof AppFleetError) return error;
    const status = statusOf(error);
    const said = bodyOf(error);
    const why =
      status === 0 ? messageOf(error).replace(/^consul: [\w. ]+: /, '') : said === '' ? `status ${status}` : said;
    return new AppFleetError('AF_CONSUL', `Consul at ${place}: ${what}: ${why}`, {
      cause: error,
      hint: status === 0 ? 'systemctl status consul' : hints[status],
    });
  };

  const readFile = async (path: string | null): Promise<string | null> => {
    if (path === null) return null;
    const text = await files.read(path);
    if (text === null) throw new AppFleetError('AF_CONSUL', `Consul at ${place}: ${path} is missing`);
    return text;
  };

  const readSecrets = async (): Promise<Secrets> => {
    const { certificate } = settings;
    const pair =
      certificate === null
        ? null
        : { cert: (await readFile(certificate.file)) ?? '', key: (await readFile(certificate.keyFile)) ?? '' };
    const token = given ?? (await readFile(settings.tokenFile))?.trim() ?? null;
    return { token, ca: await readFile(settings.caFile), certificate: pair };
  };

  const wire = (): Promise<Wire> => {
    opened ??= readSecrets().then((secrets) => openWire(settings, secrets, callTimeoutMs, sockets));
    // Who asks gets the failure; the next one tries again.
    opened.catch(() => (opened = null));
    return opened;
  };

  const call = <T>(what: string, work: (wire: Wire) => Promise<T>): Promise<T> =>
    limit(async () => {
      try {
        return await work(await wire());
      } catch (error) {
        throw failure(what, error);
      }
    });

  const report = (id: string, status: CheckStatus, output: string): Promise<boolean> =>
    call(`cannot report on ${id}`, async ({ agent: { check } }) => {
      try {
        await check[verbs[status]]({ id: checkId(id), note: output });
        return true;
      } catch (error) {
        // Consul 1.8 answers 500 with these words, later ones 404.
        if (statusOf(error) === 404 || /unknown check/i.test(bodyOf(error) + messageOf(error))) return false;
        throw error;
      }
    });

  return {
    place,
    instances: async (service) => {
      const found = await call(`cannot ask who has ${service}`, ({ health }) => health.service({ service }));
      return found.map(({ Service, Checks }) => ({
        meta: Service.Meta ?? {},
        passing: Checks.every(({ Status }) => Status === 'passing'),
      }));
    },
    values: async (folder) =>
      belowFolder(
        folder,
        await call(`cannot read ${folder}`, ({ kv }) => kv.get({ key: folder, recurse: true, buffer: true })),
      ),
    watch: (folder, onValues, onTrouble) =>
      watchFolder(
        // No limit in time: the query itself has one. One socket, not one of the others'.
        async () => openWire(settings, await readSecrets(), 0, 1),
        folder,
        onValues,
        (error) => onTrouble(inWords(failure(`cannot follow ${folder}`, error))),
      ),
    lock: (key, waitMs) => takeLock(call, key, hostName, waitMs),
    address: async () => (await call('cannot ask for its address', ({ agent }) => agent.self())).Member.Addr,
    setKey: async (key, value, onlyIfAbsent) =>
      void (await call(`cannot write ${key}`, ({ kv }) =>
        kv.set({ key, value, ...(onlyIfAbsent ? { cas: '0' } : {}) }),
      )),
    observe: async (folders) => {
      const [services, checks, ...trees] = await Promise.all([
        call('cannot list services', ({ agent }) => agent.services()),
        call('cannot list checks', ({ agent }) => agent.checks()),
        ...folders.map((key) => call(`cannot read ${key}`, ({ kv }) => kv.get({ key, recurse: true, buffer: true }))),
      ]);
      const keys = trees.flatMap((tree) => tree ?? []);
      const observed = Object.values(services).map((one): [string, ObservedService] => {
        const check = checks[checkId(one.ID)];
        const known = check === undefined ? null : { status: check.Status as CheckStatus, output: check.Output };
        const { ID: id, Service: name, Address: address, Port: port } = one;
        return [id, { id, name, address, port, tags: one.Tags ?? [], meta: one.Meta ?? {}, check: known }];
      });
      return {
        services: new Map(observed),
        keys: new Map(
          keys.map(({ Key, Flags, Value }): [string, ObservedKey] => [
            Key,
            { text: Value?.toString('utf8') ?? '', ours: Flags === keyFlag },
          ]),
        ),
      };
    },
    register: async ({ service: { status, output, probe, ...service }, isNew }, ttlSeconds) => {
      const { id } = service;
      const named = { checkid: checkId(id), name: 'as App Fleet sees it' };
      const check =
        probe === 'none'
          ? {}
          : { check: { ...named, ...(probe === 'reported' ? { ttl: `${ttlSeconds}s`, status } : present(probe)) } };
      await call(`cannot register ${id}`, ({ agent }) => agent.service.register({ ...service, ...check }));
      // A check that Consul has already keeps its status when it is registered again.
      if (probe === 'reported' && !(isNew && output === '')) await report(id, status, output);
    },
    deregister: (id) =>
      call(`cannot deregister ${id}`, async ({ agent }) => {
        await agent.service.deregister(id).catch((error: unknown) => {
          if (statusOf(error) !== 404 && !/unknown service/i.test(bodyOf(error) + messageOf(error))) throw error;
        });
      }),
    report,
    writeKeys: async (changes) => {
      const operations = changes.map(operationOf);
      for (let from = 0; from < operations.length; from += longestTransaction) {
        const some = operations.slice(from, from + longestTransaction);
        await call(`cannot write ${some[0]?.KV.Key ?? ''}`, ({ transaction }) => transaction.create(some));
      }
    },
    reopen: () => {
      const last = opened;
      opened = null;
      void last?.then((wire) => wire.destroy()).catch(() => undefined);
    },
    close: () => {
      void opened?.then((wire) => wire.destroy()).catch(() => undefined);
    },
  };
};

/** Without what is undefined: the package takes a key for a value. */
const present = (probe: CheckProbe): CheckProbe =>
  Object.fromEntries(Object.entries(probe).filter(([, value]) => value !== undefined));

const operationOf = (change: KeyChange): KeyOperation =>
  change.kind === 'delete'
    ? { KV: { Verb: 'delete', Key: change.key } }
    : {
        KV: {
          Verb: 'set',
          Key: change.key,
          Value: Buffer.from(change.value, 'utf8').toString('base64'),
          Flags: keyFlag,
        },
      };
