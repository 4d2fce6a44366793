import { QmpClient } from "../qmp/client.ts";
import type { CommandArguments } from "../qmp/generated/schema.ts";
import { label, type QemuGuest } from "./guest.ts";

/**
 * Cuts connections of QEMU that hang, out of band: the only command that is heard while the monitor waits for the
 * network with the big lock held. Asked on the second monitor when the first is silent even then.
 */
export async function yank(guest: QemuGuest, instances: CommandArguments["yank"]["instances"]): Promise<void> {
	try {
		await guest.monitor.yank(instances);
	} catch {
		const rescue = await QmpClient.connect(guest.paths.rescue, { owner: label(guest), greetingTimeoutMs: 2000 });
		try {
			await rescue.yank(instances);
		} finally {
			rescue.close();
		}
	}
}
