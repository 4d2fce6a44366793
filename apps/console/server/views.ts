import { GuestId, HostId } from "@sterna/shared/ids";
import { z } from "zod";

/**
 * What pages get. Plain JSON: times are milliseconds since 1970, shares are 0 to 1, sizes are bytes. Every name that a
 * page shows travels with its id, so that no page needs a second question to say who is meant.
 * The words that all share stand here; hosts, guests, migrations, events, the overview and backups have theirs beside it.
 */

export const Role = z.enum(["viewer", "operator", "admin"]);
export type Role = z.infer<typeof Role>;

export const HostRef = z.object({ id: HostId, name: z.string() });
export type HostRef = z.infer<typeof HostRef>;
export const GuestRef = z.object({ id: GuestId, name: z.string() });
export type GuestRef = z.infer<typeof GuestRef>;

/** Input of every list, beside its `sort`: one page of rows. */
export const paging = {
	page: z.int().min(1).max(100_000).default(1),
	pageSize: z.int().min(1).max(200).default(50),
	direction: z.enum(["ascending", "descending"]).default("ascending"),
	/** Part of a name; case does not matter. */
	filter: z.string().max(100).default(""),
};

/** One page of rows and how many there are in all. */
export const pageOf = <Row extends z.ZodType>(row: Row) => z.object({ rows: z.array(row), total: z.int() });

export const Me = z.object({ userId: z.string(), name: z.string(), email: z.string(), role: Role });
export type Me = z.infer<typeof Me>;
