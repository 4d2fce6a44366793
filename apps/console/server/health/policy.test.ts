import type { Finding, Severity } from "@sterna/shared/health";
import { HostId, newId } from "@sterna/shared/ids";
import { describe, expect, test } from "vitest";
import { decideHealth, healthSentence, type PolicyHost } from "./policy.ts";

const now = 1_800_000_000_000;

function finding(severity: Severity, change: Partial<Finding> = {}): Finding {
	return {
		key: "memory/mc0.dimm1/uncorrectedErrors",
		sensor: "memory",
		component: "DIMM_B1",
		signal: "uncorrectedErrors",
		severity,
		value: 2,
		threshold: 1,
		unit: "errors",
		windowMs: 86_400_000,
		rule: "any uncorrected memory error",
		firstSeenAt: now,
		lastSeenAt: now,
		raw: "ue_count 2",
		relevant: true,
		...change,
	};
}

function host(name: string, ...findings: (Finding & { openedAt?: number; settled?: boolean })[]): PolicyHost {
	return {
		hostId: newId(HostId),
		name,
		mode: "normal",
		online: true,
		findings: findings.map(({ openedAt = now, settled = false, ...entry }, at) => ({
			id: `${name}/${at}`,
			finding: entry,
			openedAt,
			settled,
		})),
	};
}

const healthy = (count: number) => Array.from({ length: count }, (_, at) => host(`ok-${at}`));
const actions = (hosts: PolicyHost[], automaticEvacuations = 0) =>
	decideHealth({ now, hosts, automaticEvacuations }).map(({ findingId, action }) => `${findingId} ${action}`);

describe("one host in trouble", () => {
	test.each([
		["watch", "notify"],
		["degraded", "quarantine"],
		["failing", "evacuate"],
	] as const)("%s: %s", (severity, action) => {
		expect(actions([host("a", finding(severity)), ...healthy(2)])).toEqual([`a/0 ${action}`]);
	});

	test("a failing part that carries nothing is an alert", () => {
		expect(actions([host("a", finding("failing", { relevant: false })), ...healthy(2)])).toEqual(["a/0 alertOnly"]);
	});

	test("what was decided is not decided again", () => {
		expect(actions([host("a", { ...finding("failing"), settled: true }), ...healthy(2)])).toEqual([]);
	});

	test("a host out of service is not evacuated twice", () => {
		const decisions = decideHealth({
			now,
			hosts: [{ ...host("a", finding("failing")), mode: "maintenance" }],
			automaticEvacuations: 1,
		});
		expect(decisions.map(({ sentence }) => sentence)).toEqual(["a is out of service already"]);
	});

	test("two failing parts begin one evacuation", () => {
		const decisions = decideHealth({
			now,
			hosts: [host("a", finding("failing"), finding("failing", { signal: "smartFailed" })), ...healthy(2)],
			automaticEvacuations: 0,
		});
		expect(decisions.map(({ sentence }) => sentence)).toEqual(["evacuated", "a is being emptied"]);
	});

	test("a host that is not heard waits: nothing is decided until it is back", () => {
		expect(actions([{ ...host("a", finding("failing")), online: false }, ...healthy(2)])).toEqual([]);
	});
});

describe("the fleet guard", () => {
	test.each([
		["two of three with the same signal", 2, 1, "alertOnly"],
		["two of nineteen", 2, 17, "alertOnly"],
		["two of twenty: exactly a tenth is still believed", 2, 18, "evacuate"],
		["three of twenty", 3, 17, "alertOnly"],
	])("%s: %s", (_, ill, well, action) => {
		const hosts = [...Array.from({ length: ill }, (_, at) => host(`ill-${at}`, finding("failing"))), ...healthy(well)];
		expect(actions(hosts)[0]).toBe(`ill-0 ${action}`.replace("ill-0", "ill-0/0"));
	});

	test("30 % of a fleet with one finding: no evacuation, an alert for each", () => {
		const hosts = [...Array.from({ length: 30 }, (_, at) => host(`ill-${at}`, finding("failing"))), ...healthy(70)];
		expect(new Set(decideHealth({ now, hosts, automaticEvacuations: 0 }).map(({ action }) => action))).toEqual(
			new Set(["alertOnly"]),
		);
	});

	test("different signals on two hosts are two troubles", () => {
		const hosts = [
			host("a", finding("failing")),
			host("b", finding("failing", { signal: "smartFailed" })),
			...healthy(18),
		];
		expect(actions(hosts)).toEqual(["a/0 evacuate", "b/0 evacuate"]);
	});

	test("the same signal eleven minutes apart is no wave", () => {
		const old = { ...finding("failing"), openedAt: now - 11 * 60_000, settled: true };
		expect(actions([host("a", old), host("b", finding("failing")), ...healthy(1)])).toEqual(["b/0 evacuate"]);
	});

	test("a degraded wave does not even take hosts out of placement by decision", () => {
		expect(actions([host("a", finding("degraded")), host("b", finding("degraded")), ...healthy(1)])).toEqual([
			"a/0 alertOnly",
			"b/0 alertOnly",
		]);
	});
});

describe("how many at once", () => {
	const two = () => [
		host("a", finding("failing")),
		host("b", finding("failing", { signal: "smartFailed" })),
		...healthy(8),
	];

	test("one of ten: the second waits and is decided when the first is done", () => {
		expect(actions(two())).toEqual(["a/0 evacuate"]);
		expect(actions(two(), 1)).toEqual([]);
	});

	test("the older trouble goes first", () => {
		const hosts = [
			host("late", finding("failing")),
			host("early", { ...finding("failing", { signal: "smartFailed" }), openedAt: now - 1000 }),
			...healthy(8),
		];
		expect(actions(hosts)).toEqual(["early/0 evacuate"]);
	});

	test("three of thirty may leave together", () => {
		const signals = ["one", "two", "three", "four"];
		const hosts = [...signals.map((signal) => host(signal, finding("failing", { signal }))), ...healthy(26)];
		expect(actions(hosts)).toHaveLength(3);
	});
});

test("the sentence names the worst relevant part", () => {
	expect(healthSentence([finding("watch", { component: "sda" }), finding("failing")])).toBe(
		"DIMM_B1: 2 errors (any uncorrected memory error)",
	);
	expect(healthSentence([])).toBeNull();
});
