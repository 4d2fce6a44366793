import { faultSuite } from "./testing/fault-suite.ts";
import { qemuKind } from "./testing/guest-kinds.ts";

faultSuite(qemuKind);
