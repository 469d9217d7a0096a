from sequencer_client import Sequencer

with Sequencer("http://127.0.0.1:8378") as sequencer:
    print(sequencer.next("invoices"))
