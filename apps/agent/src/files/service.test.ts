import { SternaError } from "@sterna/shared/errors";
import { newId, PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { OpenedView } from "./opened-view.ts";
import { FilesService } from "./service.ts";
import { View } from "./view.ts";

const access = {
	repositoryId: newId(RepositoryId),
	place: { kind: "directory" as const, name: "backups" },
	key: `sterna-key-1-${"a".repeat(58)}`,
};
const disk = () => ({ access, pointId: newId(PointId), volumeId: newId(VolumeId) });

/** A view whose disk has one file system, and which notes that it was closed. */
class FakeView implements OpenedView {
	readonly view = new View({ run: async () => this.answer() }, { folder: "/nowhere", diskBytes: 0 });
	alive = true;
	answer: () => Promise<string> = async () => "/dev/sda: ext4\n";
	trouble: SternaError | null = null;
	isAlive = () => this.alive;
	problem = () => this.trouble;
	close = vi.fn(async () => {
		this.alive = false;
	});
}

let opened: FakeView[];
let service: FilesService;

beforeEach(() => {
	vi.useFakeTimers();
	opened = [];
	service = new FilesService({
		idleMs: 60_000,
		open: async () => {
			const view = new FakeView();
			opened.push(view);
			return view;
		},
	});
});

afterEach(() => vi.useRealTimers());

describe("looking into backups", () => {
	it("opens a disk once for all who ask about it, and closes it when nobody has for a while", async () => {
		const one = disk();
		const answers = await Promise.all([service.fileSystems(one), service.fileSystems(one)]);
		expect(answers).toEqual(Array(2).fill({ fileSystems: [{ device: "/dev/sda", type: "ext4" }] }));
		await vi.advanceTimersByTimeAsync(50_000);
		await service.fileSystems(one);
		await vi.advanceTimersByTimeAsync(50_000);
		expect(opened.map((view) => view.close.mock.calls.length)).toEqual([0]);
		await vi.advanceTimersByTimeAsync(10_000);
		expect(opened.map((view) => view.close.mock.calls.length)).toEqual([1]);
	});

	it("makes room for a third disk by closing the one that was asked longest ago", async () => {
		const [first, second, third] = [disk(), disk(), disk()];
		await service.fileSystems(first);
		await service.fileSystems(second);
		await service.fileSystems(first);
		await service.fileSystems(third);
		expect(opened.map((view) => view.close.mock.calls.length)).toEqual([0, 1, 0]);
	});

	it("refuses a third disk while two are being asked", async () => {
		const questions = [disk(), disk()].map((one) => service.fileSystems(one));
		await expect(service.fileSystems(disk())).rejects.toMatchObject({ code: "no_capacity" });
		await Promise.all(questions);
	});

	it("tries again after an appliance could not be started or has died", async () => {
		const one = disk();
		let failures = 1;
		service = new FilesService({
			idleMs: 60_000,
			open: async () => {
				if (failures-- > 0) throw new SternaError("unavailable", "guestfish is not installed");
				const view = new FakeView();
				opened.push(view);
				return view;
			},
		});
		await expect(service.fileSystems(one)).rejects.toThrow("not installed");
		await service.fileSystems(one);
		for (const view of opened) view.alive = false;
		await service.fileSystems(one);
		expect(opened.length).toBe(2);
		expect(opened[0]?.close).toHaveBeenCalledTimes(1);
	});

	it("tells the repository's reason for what is an I/O error to the appliance", async () => {
		const one = disk();
		service = new FilesService({
			idleMs: 60_000,
			open: async () => {
				const view = new FakeView();
				view.answer = () => Promise.reject(new SternaError("unavailable", "Input/output error"));
				view.trouble = new SternaError("invalid", "bytes 0 to 65536 of the disk cannot be read");
				return view;
			},
		});
		await expect(service.fileSystems(one)).rejects.toThrow("bytes 0 to 65536");
	});

	it("ends every view when the agent ends", async () => {
		await service.fileSystems(disk());
		await service.fileSystems(disk());
		await service.close();
		expect(opened.map((view) => view.close.mock.calls.length)).toEqual([1, 1]);
	});
});
