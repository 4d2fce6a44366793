import type { Logger } from "pino";

/** The parts of a running console, as procedures reach them. */
export interface Console {
	log: Logger;
}
