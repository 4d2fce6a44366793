import { formatBytes } from "@sterna/shared/units";
import type { Core } from "../core.ts";
import { connectionOf } from "../inventory/standing.ts";
import { choosePlacement } from "../placement/candidates.ts";
import type { CreatePlan } from "../views-guests.ts";
import { type NewGuest, newSpec } from "./new-guest.ts";

/** Where the guest would go and why, and what the form may offer. The name and the boot may still be missing. */
export function planCreate(
	{ inventory, now }: Core,
	wish: Omit<NewGuest, "name" | "boot"> & { name?: NewGuest["name"] | undefined; boot?: NewGuest["boot"] | undefined },
): CreatePlan {
	if (wish.hostId) inventory.host(wish.hostId);
	const { hostId, name = "new-guest", ...rest } = wish;
	// A guest that boots from disk needs one; while the form has neither, the plan is made as if it booted a kernel.
	const boot = rest.boot ?? { from: "kernel" as const, kernel: "any", commandLine: "" };
	const spec = newSpec({ ...rest, name, boot }, () => false);
	const placed = rest.boot ? spec : { ...spec, boot: { from: "disk" as const } };
	const choice = choosePlacement(inventory, { spec: placed, ...(hostId ? { wanted: hostId } : {}) }, now());
	const chosen = choice.candidates.find((candidate) => candidate.chosen);
	const online = [...inventory.hosts.values()].filter((host) => connectionOf(host, now()) === "online" && host.facts);
	const images = new Map<string, { name: string; sizeBytes: number; hosts: number }>();
	const pools = new Map<string, { name: string; kind: "local" | "shared"; hosts: number }>();
	const networks = new Map<string, { name: string; hosts: number }>();
	for (const { facts } of online) {
		for (const { name: image, sizeBytes } of facts?.images ?? []) count(images, image, { name: image, sizeBytes });
		for (const { name: pool, kind } of facts?.pools ?? []) count(pools, pool, { name: pool, kind });
		for (const { name: network } of facts?.networks ?? []) count(networks, network, { name: network });
	}
	return {
		candidates: choice.candidates,
		images: [...images.values()],
		pools: [...pools.values()],
		networks: [...networks.values()],
		steps: chosen
			? [
					`${formatBytes(spec.memoryBytes)} of memory are set aside on ${chosen.host.name}`,
					...spec.volumes.map(({ sizeBytes, pool }) => `a volume of ${formatBytes(sizeBytes)} is made in pool ${pool}`),
					`${wish.name ?? "the guest"} is started on ${chosen.host.name}`,
				]
			: [],
		undo: "delete the guest: its volumes go with it",
	};
}

function count<Item extends { hosts: number }>(into: Map<string, Item>, key: string, item: Omit<Item, "hosts">): void {
	const known = into.get(key);
	if (known) known.hosts++;
	else into.set(key, { ...item, hosts: 1 } as Item);
}
