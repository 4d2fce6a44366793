import { describe, expect, it } from "vitest";
import { readRelevance } from "./block-devices.ts";
import { Machine } from "./fixtures/machine.ts";

const server = () =>
	new Machine({
		"/sys/block/sda/dev": "8:0\n",
		"/sys/block/sda/sda1/dev": "8:1\n",
		"/sys/block/sdb/dev": "8:16\n",
		"/sys/block/sdb/sdb1/dev": "8:17\n",
		"/sys/block/sdc/dev": "8:32\n",
		"/sys/block/dm-0/dev": "253:0\n",
		"/sys/block/dm-0/slaves/sdb1/dev": "8:17\n",
		"/sys/block/sdd/dev": "8:48\n",
		"/proc/self/mountinfo": [
			"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
			"23 22 253:0 / /var/lib/pool\\040one rw - xfs /dev/mapper/vg-pool rw",
			"24 22 0:50 / /srv/share rw - nfs4 server:/x rw",
			"25 22 0:51 / /srv/tree rw - btrfs /dev/sdd rw",
			"26 22 8:32 / /mnt/backup rw - ext4 /dev/sdc rw",
		].join("\n"),
	});

describe("which disks matter", () => {
	it("follows partitions and mappings down to the disks under root and pools", async () => {
		const relevance = await readRelevance(server(), ["/", "/var/lib/pool one/volumes"]);
		expect([...(relevance ?? [])].sort()).toEqual(["dm-0", "sda", "sda1", "sdb", "sdb1"]);
	});

	it("leaves out shares, which are on no disk of this server", async () => {
		expect([...((await readRelevance(server(), ["/srv/share/pool"])) ?? [])]).toEqual([]);
	});

	it("lets every disk matter when it cannot tell", async () => {
		expect(await readRelevance(server(), ["/srv/tree"])).toBeNull();
		expect(await readRelevance(server().remove("/proc"), ["/"])).toBeNull();
		expect(await readRelevance(server().remove("/sys"), ["/"])).toBeNull();
	});
});
