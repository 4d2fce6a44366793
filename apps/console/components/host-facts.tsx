import { formatBytes } from "@sterna/shared/units";
import type { HostView } from "../server/views-hosts.ts";
import { Chip } from "../ui/chip.tsx";
import { Meter, Pair } from "../ui/meter.tsx";
import { Panel } from "../ui/panel.tsx";
import { Time } from "../ui/time.tsx";

/** What a server is: changes rarely. */
export function HostFactsPanel({ host }: { host: HostView }) {
	return (
		<Panel title="Server">
			<dl className="rows">
				<Pair label="Address">{host.address ?? "–"}</Pair>
				<Pair label="Processor">
					{host.cpuModel ?? "–"}
					{host.cpuThreads !== null && `, ${host.cpuThreads} threads`}
				</Pair>
				<Pair label="System">{host.operatingSystem ?? "–"}</Pair>
				<Pair label="Kernel">{host.kernel ?? "–"}</Pair>
				<Pair label="QEMU">{host.qemuVersion ?? "–"}</Pair>
				<Pair label="Agent">{host.agentVersion ?? "–"}</Pair>
				<Pair label="Runs guests with">
					{host.probe ? (
						<>
							{host.probe.accelerator}
							<span className="block text-sm text-soft">{host.probe.reason}</span>
						</>
					) : (
						"–"
					)}
				</Pair>
				<Pair label="Joined">
					<Time at={host.joinedAt} />
				</Pair>
				<Pair label="Certificate until">
					{host.certificateExpiresAt === null ? "–" : <Time at={host.certificateExpiresAt} />}
				</Pair>
				<Pair label="Last heard">{host.lastHeardAt === null ? "never" : <Time at={host.lastHeardAt} />}</Pair>
			</dl>
		</Panel>
	);
}

/** Where its guests' disks and images lie, and which networks it offers. */
export function HostStorage({ host }: { host: HostView }) {
	return (
		<Panel title="Storage and networks">
			<ul className="flex flex-col gap-2.5">
				{host.pools.map((pool) => {
					const used = pool.capacityBytes - pool.freeBytes;
					return (
						<li key={pool.name}>
							<Meter
								label={`Pool ${pool.name}, ${pool.kind}`}
								share={pool.capacityBytes > 0 ? used / pool.capacityBytes : 0}
								text={`${formatBytes(pool.freeBytes)} free of ${formatBytes(pool.capacityBytes)}`}
							/>
						</li>
					);
				})}
				{host.pools.length === 0 && <li className="text-soft">No storage pool is known.</li>}
			</ul>
			<dl className="rows mt-3">
				<Pair label="Networks">
					{host.networks.length === 0 ? (
						"none"
					) : (
						<span className="flex flex-wrap justify-end gap-1">
							{host.networks.map((network) => (
								<Chip key={network.name}>
									{network.name}, {network.kind}
								</Chip>
							))}
						</span>
					)}
				</Pair>
				<Pair label="Images">
					{host.images.length === 0 ? "none" : host.images.map((image) => image.name).join(", ")}
				</Pair>
			</dl>
		</Panel>
	);
}
