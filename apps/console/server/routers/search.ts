import { z } from "zod";
import { notBuilt } from "../not-built.ts";
import { router, viewerProcedure } from "../trpc.ts";
import { SearchHit } from "../views.ts";

export const search = router({
	/** For the palette: hosts and guests by name, id or address, at most 20. */
	find: viewerProcedure
		.input(z.strictObject({ text: z.string().max(100) }))
		.output(z.object({ hits: z.array(SearchHit) }))
		.query(notBuilt),
});
