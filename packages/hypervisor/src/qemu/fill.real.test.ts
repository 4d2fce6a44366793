import { describe } from "vitest";
import { describeFill } from "../contract-fill.ts";
import { makeQemuUnderTest } from "../testing/qemu-bench.ts";

describe("volumes that are not here yet, with the QEMU driver", () => describeFill(makeQemuUnderTest));
