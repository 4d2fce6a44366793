/** Whether the database refused because the value is taken (SQLSTATE 23505). Drizzle keeps the driver's error as cause. */
export function isTaken(error: unknown): boolean {
	for (let at: unknown = error; at instanceof Error; at = at.cause) {
		if ("code" in at && at.code === "23505") return true;
	}
	return false;
}
