/**
 * Loaded into every Node.js process of a container before its program: makes the process see what it would see in a pod.
 * Names of services are looked up where the cluster says, what listens on all addresses listens on the pod's own, and paths
 * of volumes and of the image lie where the stand-in put them.
 */
'use strict';
const childProcess = require('node:child_process');
const dns = require('node:dns');
const fs = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');
const net = require('node:net');
const os = require('node:os');
const { fileURLToPath } = require('node:url');

const pod = JSON.parse(process.env.STAND_IN_POD);

const mapped = (path) => {
  if (path.startsWith(pod.root)) return path;
  for (const [inside, outside] of pod.paths) {
    if (path === inside || path.startsWith(`${inside}/`)) return outside + path.slice(inside.length);
  }
  return path;
};
const mapArgument = (value) => {
  if (typeof value === 'string') return mapped(value);
  return value instanceof URL && value.protocol === 'file:' ? mapped(fileURLToPath(value)) : value;
};

/** Functions whose second argument is a path too. */
const twoPaths = new Set(['rename', 'copyFile', 'cp', 'link', 'symlink']);
const paths = new Set([
  'access',
  'appendFile',
  'chmod',
  'chown',
  'copyFile',
  'cp',
  'createReadStream',
  'createWriteStream',
  'exists',
  'lchown',
  'link',
  'lstat',
  'mkdir',
  'mkdtemp',
  'open',
  'opendir',
  'readFile',
  'readdir',
  'readlink',
  'realpath',
  'rename',
  'rm',
  'rmdir',
  'stat',
  'statfs',
  'symlink',
  'truncate',
  'unlink',
  'utimes',
  'watch',
  'watchFile',
  'writeFile',
]);
const wrap = (holder) => {
  for (const [name, original] of Object.entries(holder)) {
    const bare = name.replace(/Sync$/, '');
    if (typeof original !== 'function' || !paths.has(bare)) continue;
    const wrapped = function (...args) {
      args[0] = mapArgument(args[0]);
      if (args.length > 1 && twoPaths.has(bare)) args[1] = mapArgument(args[1]);
      return original.apply(this, args);
    };
    holder[name] = Object.assign(wrapped, original);
  }
};
wrap(fs);
wrap(fs.promises);

const resolver = new dns.Resolver({ timeout: 1000, tries: 3 });
resolver.setServers([pod.dns]);
const domain = `${pod.namespace}.svc.cluster.local`;
/** The full name of what may be a service's; null for what is none. */
const serviceName = (name) => {
  const plain = name.replace(/\.$/, '');
  if (net.isIP(plain) !== 0 || plain === 'localhost' || plain === os.hostname()) return null;
  if (!plain.includes('.')) return `${plain}.${domain}`;
  if (plain.endsWith('.svc')) return `${plain}.cluster.local`;
  if (plain.endsWith('.svc.cluster.local')) return plain;
  return /^[a-z0-9-]+\.[a-z0-9-]+$/.test(plain) && !/\.(com|net|org|example|test|local)$/.test(plain) ? `${plain}.svc.cluster.local` : null;
};
const originals = { lookup: dns.lookup, resolve4: dns.resolve4 };
dns.lookup = function lookup(name, options, callback) {
  const done = typeof options === 'function' ? options : callback;
  const full = typeof name === 'string' ? serviceName(name) : null;
  if (full === null) return originals.lookup.call(dns, name, options, callback);
  const all = typeof options === 'object' && options !== null && options.all === true;
  resolver.resolve4(full, (error, addresses) => {
    if (error) {
      const failed = Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), {
        code: 'ENOTFOUND',
        errno: -3008,
        syscall: 'getaddrinfo',
        hostname: name,
      });
      return done(failed);
    }
    if (all)
      done(
        null,
        addresses.map((address) => ({ address, family: 4 })),
      );
    else done(null, addresses[0], 4);
  });
};
dns.resolve4 = function resolve4(name, options, callback) {
  const full = serviceName(name);
  if (full === null) return originals.resolve4.call(dns, name, options, callback);
  return typeof options === 'function' ? resolver.resolve4(full, options) : resolver.resolve4(full, options, callback);
};
const promised = dns.promises.lookup;
dns.promises.lookup = (name, options) =>
  serviceName(String(name)) === null
    ? promised(name, options)
    : new Promise((resolve, reject) =>
        dns.lookup(name, typeof options === 'object' ? options : {}, (error, address, family) => {
          if (error) reject(error);
          else resolve(Array.isArray(address) ? address : { address, family });
        }),
      );
const promised4 = dns.promises.resolve4;
dns.promises.resolve4 = (name, options) =>
  serviceName(name) === null
    ? promised4(name, options)
    : new Promise((resolve, reject) =>
        resolver.resolve4(serviceName(name), options ?? {}, (error, found) => (error ? reject(error) : resolve(found))),
      );

/** What listens everywhere would meet the other pods' ports. */
const everywhere = new Set(['0.0.0.0', '::', '', undefined, null]);
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  const [first, second] = args;
  if (typeof first === 'object' && first !== null && 'port' in first)
    args[0] = { ...first, host: everywhere.has(first.host) ? pod.ip : first.host };
  else if (typeof first === 'object' && first !== null && typeof first.path === 'string') args[0] = { ...first, path: mapped(first.path) };
  else if (typeof first === 'number' || /^\d+$/.test(String(first))) {
    if (typeof second === 'string') args[1] = everywhere.has(second) ? pod.ip : second;
    else args.splice(1, 0, pod.ip);
  } else if (typeof first === 'string') args[0] = mapped(first);
  return listen.apply(this, args);
};

os.hostname = () => pod.name;
const interfaces = os.networkInterfaces;
os.networkInterfaces = () => ({
  ...interfaces(),
  eth0: [{ address: pod.ip, netmask: '255.255.0.0', family: 'IPv4', mac: '00:00:00:00:00:00', internal: false, cidr: `${pod.ip}/16` }],
});

/** A process of a process is in the pod too, whatever environment it is given. */
const handed = { NODE_OPTIONS: process.env.NODE_OPTIONS, STAND_IN_POD: process.env.STAND_IN_POD };
for (const name of ['spawn', 'fork', 'execFile', 'spawnSync', 'execFileSync']) {
  const original = childProcess[name];
  childProcess[name] = function (...args) {
    const place = args.findIndex((arg, index) => index > 0 && typeof arg === 'object' && arg !== null && !Array.isArray(arg));
    if (place >= 0 && args[place].env) args[place] = { ...args[place], env: { ...args[place].env, ...handed } };
    return original.apply(this, args);
  };
}
syncBuiltinESMExports();

// A container sees what its pod says, and nothing of how it is made to.
delete process.env.STAND_IN_POD;
if (pod.nodeOptions === null) delete process.env.NODE_OPTIONS;
else process.env.NODE_OPTIONS = pod.nodeOptions;
