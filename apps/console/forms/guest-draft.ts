import { Name } from "@sterna/shared/names";
import { GiB, MiB } from "@sterna/shared/units";
import type { Inputs } from "../server/root.ts";
import type { CreatePlan } from "../server/views-guests.ts";

type NewGuest = Inputs["guests"]["create"];

/** The form as it stands, half filled or not. `null`: not chosen, so the first that is offered is taken. */
export interface Draft {
	name: string;
	vcpus: string;
	memoryMiB: string;
	bootFrom: "kernel" | "disk";
	kernel: string | null;
	initrd: string | null;
	commandLine: string;
	diskGiB: string;
	diskImage: string | null;
	pool: string | null;
	network: string | null;
	hostId: string | null;
	start: boolean;
}

/** The choice of nothing in a list. */
export const noChoice = "none";
export const freshDraft: Draft = {
	name: "",
	vcpus: "1",
	memoryMiB: "256",
	bootFrom: "kernel",
	kernel: null,
	initrd: null,
	commandLine: "console=ttyS0",
	diskGiB: "1",
	diskImage: null,
	pool: null,
	network: null,
	hostId: null,
	start: true,
};

/** What is wrong with the draft, per field; nothing is `null` or absent. */
export function errorsOf(draft: Draft) {
	const parsedName = Name.safeParse(draft.name);
	const sizes: { vcpus?: string; memory?: string; disk?: string } = {};
	if (!inRange(draft.vcpus, 1, 256)) sizes.vcpus = "a whole number from 1 to 256";
	if (!inRange(draft.memoryMiB, 32, 4 * 1024 * 1024)) sizes.memory = "a whole number of MiB, at least 32";
	const disk = Number(draft.diskGiB);
	const least = draft.bootFrom === "disk" ? 0.01 : 0;
	if (draft.diskGiB.trim() === "" || !(disk >= least && disk <= 65_536)) {
		sizes.disk = draft.bootFrom === "disk" ? "a guest that boots from disk needs one" : "GiB from 0 to 65536";
	}
	return { name: parsedName.success ? null : (parsedName.error.issues[0]?.message ?? "not a name"), sizes };
}

function inRange(text: string, least: number, most: number): boolean {
	return /^\d+$/.test(text.trim()) && Number(text) >= least && Number(text) <= most;
}

/** The draft as the server wants it; what was not chosen takes the first that is offered. */
export function wantedOf(draft: Draft, offers: CreatePlan | null): NewGuest {
	const images = offers?.images.map((image) => image.name) ?? [];
	const kernel = draft.kernel ?? images.find((name) => /kernel|vmlinuz|bzimage/.test(name)) ?? images[0] ?? "";
	const initrd = draft.initrd ?? images.find((name) => /initrd|initramfs/.test(name)) ?? noChoice;
	const diskImage = draft.diskImage ?? images.find((name) => /qcow2|raw|disk/.test(name)) ?? images[0];
	const pool = draft.pool ?? offers?.pools[0]?.name;
	const network = draft.network ?? offers?.networks[0]?.name ?? noChoice;
	const sizeBytes = Math.round((Number(draft.diskGiB) * GiB) / MiB) * MiB;
	return {
		name: draft.name,
		vcpus: Number(draft.vcpus),
		memoryBytes: Number(draft.memoryMiB) * MiB,
		boot:
			draft.bootFrom === "disk"
				? { from: "disk" }
				: { from: "kernel", kernel, ...(initrd === noChoice ? {} : { initrd }), commandLine: draft.commandLine },
		volumes:
			sizeBytes > 0 && pool
				? [{ pool, sizeBytes, ...(draft.bootFrom === "disk" && diskImage ? { fromImage: diskImage } : {}) }]
				: [],
		networks: network === noChoice ? [] : [network],
		...(draft.hostId ? { hostId: draft.hostId } : {}),
		start: draft.start,
	};
}
