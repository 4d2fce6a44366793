import { newId, VolumeId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { readSentence } from "./words.ts";

const volume = { volumeId: newId(VolumeId), sizeBytes: 1, readBytes: 1 };

test.each([
	["no disk", [], "It has no disk; only its description is kept."],
	[
		"an unbroken chain",
		[{ ...volume, read: "changes", reason: "unchangedChain" }],
		"Only what changed is read, of 1 disk.",
	],
	[
		"one disk of two that is new",
		[
			{ ...volume, read: "changes", reason: "unchangedChain" },
			{ ...volume, read: "whole", reason: "newVolume" },
		],
		"1 disk of 2 is read whole: the disk was not there at the last point.",
	],
] as const)("the plan for %s says what is read and why", (_, volumes, sentence) => {
	expect(readSentence(volumes)).toBe(sentence);
});
