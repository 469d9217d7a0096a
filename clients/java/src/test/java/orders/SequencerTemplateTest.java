package orders;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.UUID;
import java.util.stream.LongStream;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.boot.SpringApplication;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.kafka.core.ConsumerFactory;
import org.springframework.kafka.core.ProducerFactory;

import sequencer.Ids;
import sequencer.RefusedException;
import sequencer.SequencerProperties;
import sequencer.SequencerTemplate;
import sequencer.UnansweredException;

/** The starter against a real service, whose brokers are in KAFKA_BROKERS. */
class SequencerTemplateTest {
    private static ConfigurableApplicationContext application;
    private static SequencerTemplate sequencer;

    @BeforeAll
    static void start() {
        application = SpringApplication.run(Orders.class);
        sequencer = application.getBean(SequencerTemplate.class);
    }

    @AfterAll
    static void stop() {
        application.close();
    }

    /** A sequence of its own for each test, also when the tests run again. */
    private static String name() {
        return "starter-" + UUID.randomUUID();
    }

    @Test
    void theNumbersOfASequenceFollowEachOther() {
        String sequence = name();
        assertEquals(1, sequencer.next(sequence));
        Ids ids = sequencer.take(sequence, 5, "a");
        assertEquals(new Ids(sequence, 2, 6, 5, 1, "a"), ids);
        assertEquals(List.of(2L, 3L, 4L, 5L, 6L), ids.stream().boxed().toList());
        assertEquals(7, sequencer.next(sequence));
    }

    @Test
    void aRequestIdGetsItsNumberAgain() {
        String sequence = name();
        assertEquals(1, sequencer.next(sequence, "größe 日本"));
        assertEquals(1, sequencer.next(sequence, "größe 日本"));
        assertEquals(2, sequencer.next(sequence));
    }

    @Test
    void theExampleNumbersAnOrderOnce() {
        var example = application.getBean(Example.class);
        String order = name();
        assertEquals(example.numberOf(order), example.numberOf(order));
    }

    @Test
    void threadsShareATemplate() {
        String sequence = name();
        var numbers = LongStream.range(0, 400).parallel().map(call -> sequencer.next(sequence)).sorted().toArray();
        assertEquals(LongStream.rangeClosed(1, 400).boxed().toList(), LongStream.of(numbers).boxed().toList());
    }

    @Test
    void aLostReplyLosesNoNumber() {
        String sequence = name();
        FirstReplyIsLost.SEQUENCES.add(sequence);
        assertEquals(1, sequencer.next(sequence));
        assertFalse(FirstReplyIsLost.SEQUENCES.contains(sequence));
        assertEquals(2, sequencer.next(sequence));
    }

    @Test
    void aRefusalHasItsCode() {
        String sequence = name();
        var invalid = assertThrows(RefusedException.class, () -> sequencer.take(sequence, 0, "a"));
        assertEquals("invalid_count", invalid.code());
        sequencer.next(sequence, "a");
        var reused = assertThrows(RefusedException.class, () -> sequencer.take(sequence, 2, "a"));
        assertEquals(List.of("request_id_reused", "a"), List.of(reused.code(), reused.requestId()));
    }

    private static SequencerTemplate template(String requestTopic, String replyTopic, Duration time) {
        return new SequencerTemplate(
                application.getBean(ProducerFactory.class).getConfigurationProperties(),
                application.getBean(ConsumerFactory.class).getConfigurationProperties(),
                new SequencerProperties(requestTopic, replyTopic, time.multipliedBy(2), time));
    }

    @Test
    void aReplyTopicThatIsNotThereIsNamed() {
        var nowhere = template("sequencer.requests", "absent.reply", Duration.ofSeconds(5));
        var error = assertThrows(IllegalStateException.class, () -> nowhere.next(name()));
        nowhere.destroy();
        assertTrue(error.getMessage().contains("absent.reply"), error.getMessage());
    }

    @Test
    void aRequestWithoutAReplySaysThatANumberMayBeTaken() {
        var replies = application.getBean(SequencerProperties.class).replyTopic();
        // Nobody answers requests on that topic.
        var elsewhere = template("sequencer.gateway.replies", replies, Duration.ofMillis(300));
        var unanswered = assertThrows(UnansweredException.class, () -> elsewhere.next(name(), "b"));
        elsewhere.destroy();
        assertEquals("b", unanswered.requestId());
        assertTrue(unanswered.getMessage().contains("may be taken"), unanswered.getMessage());
    }

    @Test
    void entitiesAreNumberedWhenTheyAreNew() {
        var invoices = application.getBean(Orders.Invoices.class);
        long first = invoices.save(new Orders.Invoice()).number;
        assertEquals(first + 1, invoices.save(new Orders.Invoice()).number);
        assertTrue(invoices.existsById(first));
        var receipts = application.getBean(Orders.Receipts.class);
        assertTrue(Long.parseLong(receipts.save(new Orders.Receipt()).number) >= 1);
    }
}
