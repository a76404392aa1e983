// Send what stdin asks for, {transport, messages} as JSON; print what the server said of each.
import { readFileSync } from "node:fs";
import { createTransport } from "nodemailer";

const { transport, messages } = JSON.parse(readFileSync(0, "utf8"));
const server = createTransport(transport);
const said = [];
for (const message of messages) {
  try {
    const { response, accepted, rejected } = await server.sendMail(message);
    said.push({ response, accepted, rejected });
  } catch (error) {
    said.push({ response: error.response ?? String(error), accepted: [], rejected: [] });
  }
}
server.close();
console.log(JSON.stringify(said));
