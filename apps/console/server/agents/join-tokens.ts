import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import type { HostId } from "@sterna/shared/ids";
import { and, eq, gt, isNull, lt, sql } from "drizzle-orm";
import type { Database, Transaction } from "../db/database.ts";
import { joinTokens } from "../db/schema.ts";

const validMs = 30 * 60_000;
const maxTries = 5;
/** 60 bits find the token, the other 198 bits prove it. */
const selectorLength = 10;

/** A new one-time secret of 32 bytes (43 characters); only the hash of its proving part is kept. */
export async function createJoinToken(
	db: Database | Transaction,
	{ createdBy, remark, now }: { createdBy: string; remark: string; now: number },
): Promise<{ secret: string; expiresAt: number }> {
	const secret = randomBytes(32).toString("base64url");
	const expiresAt = now + validMs;
	await db.insert(joinTokens).values({
		selector: secret.slice(0, selectorLength),
		verifierHash: hashOf(secret.slice(selectorLength)),
		remark,
		createdBy,
		createdAt: now,
		expiresAt,
	});
	return { secret, expiresAt };
}

/**
 * Takes one try of the token before it looks at the secret, in a statement of its own: parallel guesses cannot share a
 * try, and a crash cannot give one back. The fifth wrong guess burns the token. With the right secret `join` runs in the
 * transaction that uses the token up: when it throws, the token can be used again while it has tries left.
 * @throws {SternaError} `forbidden`, the same sentence for every reason; what `join` throws.
 */
export async function redeemJoinToken<Result extends { hostId: HostId }>(
	db: Database,
	{ secret, now }: { secret: string; now: number },
	join: (tx: Transaction, token: { createdBy: string; remark: string }) => Promise<Result>,
): Promise<Result> {
	const selector = secret.slice(0, selectorLength);
	const [token] = await db
		.update(joinTokens)
		.set({ tries: sql`${joinTokens.tries} + 1` })
		.where(
			and(
				eq(joinTokens.selector, selector),
				isNull(joinTokens.usedAt),
				gt(joinTokens.expiresAt, now),
				lt(joinTokens.tries, maxTries),
			),
		)
		.returning();
	if (!token || !sameHash(token.verifierHash, hashOf(secret.slice(selectorLength)))) throw refused();
	return db.transaction(async (tx) => {
		const used = await tx
			.update(joinTokens)
			.set({ usedAt: now })
			.where(and(eq(joinTokens.selector, selector), isNull(joinTokens.usedAt)))
			.returning();
		if (used.length === 0) throw refused();
		const result = await join(tx, token);
		await tx.update(joinTokens).set({ usedByHostId: result.hostId }).where(eq(joinTokens.selector, selector));
		return result;
	});
}

function refused(): SternaError {
	return new SternaError(
		"forbidden",
		"this join string is not valid: unknown, used, too old, or guessed at too often",
		{
			cure: "take a new one from Hosts, Join a server",
		},
	);
}

function sameHash(a: string, b: string): boolean {
	return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function hashOf(verifier: string): string {
	return createHash("sha256").update(verifier).digest("hex");
}
