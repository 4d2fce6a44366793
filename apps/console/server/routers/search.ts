import { z } from "zod";
import { searchFor } from "../present/search.ts";
import { router, viewerProcedure } from "../trpc.ts";
import { SearchHit } from "../views-overview.ts";

export const search = router({
	/** For the palette: hosts, guests, backup jobs and repositories by name, id or address, at most 20. */
	find: viewerProcedure
		.input(z.strictObject({ text: z.string().max(100) }))
		.output(z.object({ hits: z.array(SearchHit) }))
		.query(({ ctx: { console }, input }) => ({ hits: searchFor(console.core, console.backups, input.text) })),
});
