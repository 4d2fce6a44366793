import { formatBytes } from "@sterna/shared/units";
import type { GuestView } from "../server/views-guests.ts";
import { Pair } from "../ui/meter.tsx";
import { Panel } from "../ui/panel.tsx";
import { Time } from "../ui/time.tsx";

/** What the guest was given: processors, memory, boot, network cards; its disks have a panel of their own. */
export function GuestDevices({ guest }: { guest: GuestView }) {
	const { spec } = guest;
	return (
		<Panel title="Hardware">
			<dl className="rows">
				<Pair label="Processors">{guest.vcpus} vCPU</Pair>
				<Pair label="Memory">{formatBytes(guest.memoryBytes)}</Pair>
				<Pair label="Boots from">
					{spec.boot.from === "disk"
						? "its first disk"
						: `kernel ${spec.boot.kernel}${spec.boot.initrd ? `, initrd ${spec.boot.initrd}` : ""}`}
				</Pair>
				{spec.nics.map((nic, index) => (
					<Pair key={nic.mac} label={`NIC ${index + 1}`}>
						{nic.network}
						<span className="block font-mono text-sm text-soft">{nic.mac}</span>
					</Pair>
				))}
				{spec.nics.length === 0 && <Pair label="NICs">none</Pair>}
				<Pair label="Machine type">{guest.machine ?? "chosen at its first start"}</Pair>
				<Pair label="Grant to run">epoch {guest.epoch}</Pair>
				<Pair label="Created">
					<Time at={guest.createdAt} />
				</Pair>
			</dl>
		</Panel>
	);
}
