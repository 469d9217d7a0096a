import { Sequencer } from "sequencer-client";

const sequencer = new Sequencer("http://127.0.0.1:8378");
console.log(String(await sequencer.next("invoices")));
