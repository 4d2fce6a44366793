import { describeHypervisorContract } from "../contract.ts";
import { makeQemuUnderTest } from "../testing/qemu-bench.ts";

describeHypervisorContract("the QEMU driver", makeQemuUnderTest);
