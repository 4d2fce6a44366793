import { asSternaError, SternaError } from "@sterna/shared/errors";
import { JoinResponse } from "@sterna/shared/protocol/join";
import type { Logger } from "pino";
import type { Clock } from "../context.ts";
import { checkIdentity, credentialsOf, type Identity, renewalDueAt, writeIdentity } from "./identity.ts";
import { certificateRequest, newPrivateKey } from "./key.ts";
import { postToConsole } from "./request.ts";

const checkPeriodMs = 15 * 60_000;

/** A fresh key and certificate for the same host, over mutual TLS with the one that still holds. Stored when fulfilled. */
export async function renewIdentity(dataDir: string, identity: Identity): Promise<Identity> {
	const privateKey = newPrivateKey();
	const answer = await postToConsole({
		console: identity.console,
		trust: { credentials: credentialsOf(identity) },
		path: "/renew",
		body: { certificateRequest: await certificateRequest(privateKey, identity.name) },
		answer: JoinResponse,
	});
	if (answer.hostId !== identity.hostId) throw new SternaError("incompatible", "the console renewed another host");
	const { certificate, authority } = answer;
	const renewed = checkIdentity({ ...identity, privateKey, certificate, authority });
	await writeIdentity(dataDir, renewed);
	return renewed;
}

/**
 * Keeps the certificate young: looks every quarter of an hour, renews after two thirds of its life, tries again at the
 * next look when that fails. Ends with `signal`.
 */
export function keepRenewed(options: {
	dataDir: string;
	clock: Clock;
	log: Logger;
	current: () => Identity;
	onRenewed: (identity: Identity) => void;
	signal: AbortSignal;
}): void {
	const { dataDir, clock, log, current, onRenewed, signal } = options;
	let renewing = false;
	const look = async () => {
		if (renewing || clock.now() < renewalDueAt(current().certificate)) return;
		renewing = true;
		try {
			onRenewed(await renewIdentity(dataDir, current()));
			log.info("certificate renewed");
		} catch (thrown) {
			log.warn({ err: asSternaError(thrown) }, "certificate not renewed, trying again later");
		} finally {
			renewing = false;
		}
	};
	const timer = setInterval(() => void look(), checkPeriodMs);
	timer.unref();
	signal.addEventListener("abort", () => clearInterval(timer), { once: true });
	void look();
}
