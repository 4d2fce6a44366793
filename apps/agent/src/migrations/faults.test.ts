import { faultSuite } from "./testing/fault-suite.ts";
import { simulatedKind } from "./testing/guest-kinds.ts";

faultSuite(simulatedKind);
