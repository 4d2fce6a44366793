import { describe, expect, it } from "vitest";
import { createFilesystemSensor } from "./filesystem.ts";
import { Machine, observe, short } from "./fixtures/machine.ts";
import { mountOf, parseMountinfo } from "./mounts.ts";

const pool = { name: "main", path: "/srv/main" };
const mountinfo = (options: string, superOptions: string) =>
	`22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 8:17 / /srv rw - ext4 /dev/sdb1 rw\n31 30 8:33 / /srv/main ${options} - xfs /dev/sdc1 ${superOptions}\n`;

function machine(options = "rw", superOptions = "rw"): Machine {
	const one = new Machine({ "/proc/self/mountinfo": mountinfo(options, superOptions) });
	return answer(one, { stdout: "<token>" });
}

function answer(one: Machine, result: { stdout?: string; stderr?: string; exitCode?: number }): Machine {
	one.tools.set("sh canary-main", { status: "finished", exitCode: 0, stdout: "", stderr: "", ...result });
	return one;
}

describe("filesystems of pools", () => {
	it("says nothing of a pool that takes and gives back", async () => {
		expect(await observe(createFilesystemSensor(machine(), [pool])).at(0)).toEqual({ symptoms: [], unseen: [] });
	});

	it.each([
		["ro", "rw"],
		["rw", "ro,errors=remount-ro"],
	])("fails a pool that is mounted %s with %s below", async (options, superOptions) => {
		const judged = await observe(createFilesystemSensor(machine(options, superOptions), [pool])).at(0);
		expect(short(judged.symptoms)).toEqual(["filesystem/main/readOnly failing 1"]);
	});

	it("does not mind another filesystem that is read-only", async () => {
		const one = machine().set({
			"/proc/self/mountinfo": `${mountinfo("rw", "rw")}40 22 7:0 / /snap/x ro - squashfs x ro\n`,
		});
		expect((await observe(createFilesystemSensor(one, [pool])).at(0)).symptoms).toEqual([]);
	});

	it.each([
		["hangs", { status: "hung" as const, forMs: 5000 }, "no answer for 5 s"],
		[
			"gives an error",
			{ status: "finished" as const, exitCode: 1, stdout: "", stderr: "Input/output error" },
			"Input/output error",
		],
		[
			"gives back something else",
			{ status: "finished" as const, exitCode: 0, stdout: "x", stderr: "" },
			"what was read is not what was written",
		],
	])("counts how often in a row a pool that %s was missed", async (_, result, raw) => {
		const one = machine();
		const sensor = observe(createFilesystemSensor(one, [pool]));
		await sensor.at(0);
		one.tools.set("sh canary-main", result);
		const severities = [];
		for (let miss = 1; miss <= 6; miss++) {
			const [found] = (await sensor.at(miss * 30_000)).symptoms;
			severities.push(found?.severity);
			expect(found?.raw).toBe(raw);
		}
		expect(severities).toEqual(["watch", "watch", "degraded", "degraded", "degraded", "failing"]);
		answer(one, { stdout: "<token>" });
		expect((await sensor.at(300_000)).symptoms).toEqual([]);
	});

	it("does not blame the disk when a pool is full", async () => {
		const one = answer(machine(), { exitCode: 1, stderr: "sh: write error: No space left on device" });
		expect(short((await observe(createFilesystemSensor(one, [pool])).at(0)).symptoms)).toEqual([
			"filesystem/main/full watch 1",
		]);
	});

	it("says that it is blind when mounts cannot be read or pools cannot be tried", async () => {
		const judged = await observe(createFilesystemSensor(new Machine(), [pool])).at(0);
		expect(judged.symptoms).toEqual([]);
		expect(judged.unseen.map(({ keyPrefix }) => keyPrefix)).toEqual(["filesystem/", "filesystem/main/canary"]);
	});
});

describe("mounts", () => {
	it("finds the latest and deepest mount over a path, by whole names", () => {
		const mounts = parseMountinfo(
			[
				"1 0 8:1 / / rw - ext4 /dev/sda1 rw",
				"2 1 8:2 / /srv rw shared:1 master:2 - ext4 /dev/sda2 rw",
				"3 1 8:3 / /srv rw - ext4 /dev/sda3 rw",
				"4 1 8:4 / /srv/po\\040ol\\134x rw - ext4 /dev/sda4 rw",
				"half a li",
				"5 1 x:y / /odd rw - ext4 /dev/sda5 rw",
			].join("\n"),
		);
		expect(mounts).toHaveLength(4);
		expect(mountOf(mounts, "/srv/other")?.device).toBe("8:3");
		expect(mountOf(mounts, "/srvx")?.device).toBe("8:1");
		expect(mountOf(mounts, "/srv/po ol\\x/vol")?.device).toBe("8:4");
		expect(mountOf([], "/srv")).toBeNull();
	});
});
