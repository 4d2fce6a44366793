import { customType } from "drizzle-orm/pg-core";

/** A point in time: `timestamptz` in the database, milliseconds since 1970 in the program. */
export const instant = customType<{ data: number; driverData: Date | string }>({
	dataType: () => "timestamp (3) with time zone",
	toDriver: (at) => new Date(at),
	fromDriver: (value) => new Date(value).getTime(),
});
