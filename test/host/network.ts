import type { TestHost } from './test-host.ts';

const BRIDGE = 'fleet';

/**
 * Puts hosts on one network, 10.99.0.1 for the first and so on, and makes them know each other by name. It lives in the
 * hosts' own network namespaces, so this machine sees nothing of it. A reboot takes a host off: connect them again.
 */
export async function connectHosts(hosts: readonly TestHost[]): Promise<Map<TestHost, string>> {
  const addresses = new Map(hosts.map((host, index) => [host, `10.99.0.${index + 1}`]));
  const [hub, ...others] = hosts;
  if (!hub) return addresses;
  // Either end of an earlier connection takes the other with it.
  for (const host of hosts) await host.sh(`ip link del ${BRIDGE} 2>/dev/null || true`);
  await hub.sh(`
    ip link add ${BRIDGE} type bridge
    ip addr add ${addresses.get(hub)}/24 dev ${BRIDGE}
    ip link set ${BRIDGE} up
    # Docker has even bridged packets filtered, and drops what it does not know.
    iptables -C FORWARD -i ${BRIDGE} -j ACCEPT 2>/dev/null || iptables -I FORWARD -i ${BRIDGE} -j ACCEPT`);
  for (const host of others) {
    const port = `to-${addresses.get(host)!.split('.').at(-1)}`;
    // A PID names a network namespace to ip(8), and inside a host this machine's PIDs mean nothing: enter only the
    // hub's network.
    await hub.network(['ip', 'link', 'add', port, 'type', 'veth', 'peer', BRIDGE, 'netns', String(host.leader)]);
    await hub.sh(`ip link set ${port} master ${BRIDGE} up`);
    await host.sh(`ip addr add ${addresses.get(host)}/24 dev ${BRIDGE}; ip link set ${BRIDGE} up`);
  }
  const names = [...addresses].map(([host, address]) => `${address} ${host.name}\n`).join('');
  for (const host of hosts) {
    await host.sh("sed -i '/^10[.]99[.]0[.]/d' /etc/hosts; cat >>/etc/hosts", { input: names });
  }
  return addresses;
}
