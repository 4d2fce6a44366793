import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId, VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { expect, onTestFinished, test } from "vitest";
import { giveVolumes } from "./launch.ts";

/** No filesystem takes it: the volume refuses to change hands, as on shared storage that squashes root. */
const refusedUid = 2 ** 33;

test("a volume that cannot be given to its guest's user is called that, and a missing one missing", async () => {
	const folder = await mkdtemp(join(tmpdir(), "gv-"));
	onTestFinished(() => rm(folder, { recursive: true, force: true }));
	await chmod(folder, 0o711);
	const volumeId = newId(VolumeId);
	const spec = GuestSpec.parse({
		id: newId(GuestId),
		name: "web-1",
		vcpus: 1,
		memoryBytes: 64 * MiB,
		boot: { from: "disk" },
		volumes: [{ id: volumeId, pool: "shared", sizeBytes: 16 * MiB }],
		nics: [],
	});
	const request = { spec, volumes: [{ volumeId, path: join(folder, "volume") }] };
	await expect(giveVolumes(request, refusedUid)).rejects.toMatchObject({ code: "not_found" });
	await writeFile(join(folder, "volume"), "");
	await expect(giveVolumes(request, refusedUid)).rejects.toMatchObject({ code: "forbidden" });
});
