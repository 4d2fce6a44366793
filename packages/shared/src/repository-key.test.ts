import { expect, test } from "vitest";
import { RepositoryKey } from "./backup.ts";
import { formatRepositoryKey, parseRepositoryKey, repositoryKeyBytes } from "./repository-key.ts";

const key = new Uint8Array(repositoryKeyBytes).map((_, at) => at * 7 + 1);

test("a key that was written down and typed back is the same key", async () => {
	const text = await formatRepositoryKey(key);
	expect(RepositoryKey.parse(text)).toBe(text);
	expect(await parseRepositoryKey(text)).toEqual(key);
});

test("a key with one wrong letter, two swapped ones or one missing is told from a wrong key", async () => {
	const text = await formatRepositoryKey(key);
	const slips = [...text].flatMap((letter, at) => {
		if (at < "sterna-key-1-".length) return [];
		const wrong = letter === "a" ? "b" : "a";
		const next = text[at + 1];
		return [
			text.slice(0, at) + wrong + text.slice(at + 1),
			text.slice(0, at) + text.slice(at + 1),
			...(next && next !== letter ? [text.slice(0, at) + next + letter + text.slice(at + 2)] : []),
		];
	});
	for (const slip of slips) await expect(parseRepositoryKey(slip)).rejects.toMatchObject({ code: "invalid" });
});

test("keys are those of format 1 for ever: this one was written down", async () => {
	expect(await formatRepositoryKey(new Uint8Array(repositoryKeyBytes))).toMatchInlineSnapshot(
		`"sterna-key-1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaiqg3x6i"`,
	);
});
