package orders;

import org.springframework.stereotype.Service;
import sequencer.SequencerTemplate;

@Service
record Example(SequencerTemplate sequencer) {
    long numberOf(String order) {
        return sequencer.next("invoices", order);
    }
}
