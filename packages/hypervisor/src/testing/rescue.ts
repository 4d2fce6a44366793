import { connect } from "node:net";
import { createInterface } from "node:readline";
import type { GuestId } from "@sterna/shared/ids";
import { guestPaths } from "../qemu/paths.ts";

/** A command to a guest's second monitor, which the driver leaves alone. @throws with QEMU's words when it is refused. */
export async function askRescue(
	runFolder: string,
	guestId: GuestId,
	execute: string,
	args: object = {},
): Promise<unknown> {
	const socket = connect(guestPaths(runFolder, guestId).rescue);
	const send = (message: object) => socket.write(`${JSON.stringify(message)}\n`);
	send({ execute: "qmp_capabilities", id: 0 });
	send({ execute, arguments: args, id: 1 });
	try {
		for await (const line of createInterface(socket)) {
			const message = JSON.parse(line);
			if (message.id !== 1) continue;
			if (message.error) throw new Error(message.error.desc);
			return message.return;
		}
		throw new Error("the monitor closed the connection");
	} finally {
		socket.destroy();
	}
}
