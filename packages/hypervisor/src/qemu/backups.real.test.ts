import { describe } from "vitest";
import { describeBackups } from "../contract-backups.ts";
import { makeQemuUnderTest } from "../testing/qemu-bench.ts";

describe("backups, kept by the QEMU driver", () => describeBackups(makeQemuUnderTest));
