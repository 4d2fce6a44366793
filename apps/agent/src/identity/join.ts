import { SternaError } from "@sterna/shared/errors";
import { type JoinRequest, JoinResponse, parseJoinString } from "@sterna/shared/protocol/join";
import type { z } from "zod";
import { dataFolderMode, makeFolderDurably } from "../durable-file.ts";
import { checkIdentity, type Identity, readIdentity, writeIdentity } from "./identity.ts";
import { certificateRequest, newPrivateKey } from "./key.ts";
import { postToConsole } from "./request.ts";

/**
 * Joins this server to the console that the join string names, and keeps the identity it gets.
 * @throws {SternaError} `invalid` for a bad join string; `conflict` when this server has joined already; `forbidden`
 * when the console's key is another (nothing is sent then) or refuses the token; `unavailable`.
 */
export async function joinConsole(options: { dataDir: string; joinString: string; name: string }): Promise<Identity> {
	const { dataDir, name } = options;
	const { address, port, pin, secret } = parseJoinString(options.joinString);
	const joined = await readIdentity(dataDir);
	if (joined) {
		throw new SternaError("conflict", `this server has joined ${joined.console.address} already, as ${joined.name}`, {
			cure: "remove it there and delete identity.json to join anew",
		});
	}
	await makeFolderDurably(dataDir, dataFolderMode);
	const privateKey = newPrivateKey();
	const body: z.input<typeof JoinRequest> = {
		secret,
		name,
		certificateRequest: await certificateRequest(privateKey, name),
	};
	const answer = await postToConsole({
		console: { address, port },
		trust: { pin },
		path: "/join",
		body,
		answer: JoinResponse,
	});
	const identity = checkIdentity({
		hostId: answer.hostId,
		name,
		console: { address, port },
		privateKey,
		certificate: answer.certificate,
		authority: answer.authority,
	});
	await writeIdentity(dataDir, identity);
	return identity;
}
