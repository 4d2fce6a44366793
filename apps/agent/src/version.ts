/** The version of this agent, as it says it in facts and hellos. */
export const agentVersion = "0.1.0";
export const program = `sterna-agent ${agentVersion}`;
