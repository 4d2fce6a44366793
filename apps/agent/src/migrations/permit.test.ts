import { GuestId, HostId, MigrationId, newId } from "@sterna/shared/ids";
import type { Permit } from "@sterna/shared/protocol/permit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestConsole } from "../fixtures/test-console.ts";
import { refuseLatePermit, verifyPermit } from "./permit.ts";

const [source, target, other] = [newId(HostId), newId(HostId), newId(HostId)];
let ours: TestConsole;
let foreign: TestConsole;

beforeAll(async () => {
	[ours, foreign] = [await TestConsole.start(), await TestConsole.start()];
});
afterAll(() => Promise.all([ours.close(), foreign.close()]));

function permit(change: Partial<Permit> = {}): Permit {
	return {
		migrationId: newId(MigrationId),
		guestId: newId(GuestId),
		epoch: 2,
		sourceHostId: source,
		targetHostId: target,
		expiresAt: 1000,
		...change,
	};
}

const check = (signed: Parameters<typeof verifyPermit>[0], hostId: HostId) =>
	verifyPermit(signed, { authority: ours.authorityPem, hostId });

test("a permit of the console is good on both of its hosts", async () => {
	const wanted = permit();
	const signed = await ours.sign(wanted);
	expect(check(signed, source)).toEqual(wanted);
	expect(check(signed, target)).toEqual(wanted);
});

test("a permit for two other hosts is refused", async () => {
	const signed = await ours.sign(permit());
	expect(() => check(signed, other)).toThrow(/not for this host/);
});

test("a permit from a host to itself is refused", async () => {
	const signed = await ours.sign(permit({ targetHostId: source }));
	expect(() => check(signed, source)).toThrow(expect.objectContaining({ code: "forbidden" }));
});

test("a permit that another console signed is refused", async () => {
	const signed = await foreign.sign(permit());
	expect(() => check(signed, target)).toThrow(/not signed by this host's console/);
});

test("a permit whose text was changed after signing is refused", async () => {
	const signed = await ours.sign(permit());
	const changed = Buffer.from(signed.payload, "base64url").toString().replace('"epoch":2', '"epoch":9');
	const payload = Buffer.from(changed).toString("base64url");
	expect(() => check({ ...signed, payload }, target)).toThrow(/not signed/);
});

test("a signature that is none is refused", async () => {
	const signed = await ours.sign(permit());
	expect(() => check({ ...signed, signature: "AAAA" }, target)).toThrow(/not signed/);
});

test("a permit begins a move until its time is over, and not after", () => {
	expect(() => refuseLatePermit(permit({ expiresAt: 1000 }), 1000)).not.toThrow();
	expect(() => refuseLatePermit(permit({ expiresAt: 1000 }), 1001)).toThrow(/over/);
});
