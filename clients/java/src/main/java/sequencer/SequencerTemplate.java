package sequencer;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.errors.RetriableException;
import org.springframework.beans.factory.DisposableBean;
import org.springframework.kafka.KafkaException;

/**
 * Takes numbers of sequences. Threads may share it. It connects with the first request.
 *
 * <p>Each request has a request ID, and is sent again with it until a reply comes or {@code sequencer.timeout} is over.
 * So one request takes one number, also when a reply is lost. Requests are no part of a Kafka transaction that is in
 * progress.
 */
public class SequencerTemplate implements DisposableBean {
    private static final String REQUEST_ID = "sequencer-request-id";

    private final Map<String, Object> producer;
    private final Map<String, Object> consumer;
    private final SequencerProperties properties;
    private ReplyChannel channel;
    private boolean closed;

    /**
     * @param producer   settings of a Kafka producer
     * @param consumer   settings of a Kafka consumer
     * @param properties topics and times
     */
    public SequencerTemplate(Map<String, Object> producer, Map<String, Object> consumer,
            SequencerProperties properties) {
        this.producer = new HashMap<>(producer);
        this.consumer = new HashMap<>(consumer);
        this.properties = properties;
    }

    /**
     * Takes the next number.
     *
     * @throws RefusedException    if the request is not valid, or the sequence gives no numbers
     * @throws UnansweredException if no reply comes in time
     */
    public long next(String sequence) {
        return take(sequence, 1, UUID.randomUUID().toString()).first();
    }

    /**
     * Takes the next number, or gets the one that the same request ID has taken already.
     *
     * @param requestId 1 to 255 bytes of UTF-8 that say what the number is for, such as {@code order-7781}
     * @throws RefusedException    if the request is not valid, or the sequence gives no numbers
     * @throws UnansweredException if no reply comes in time
     */
    public long next(String sequence, String requestId) {
        return take(sequence, 1, requestId).first();
    }

    /**
     * Takes numbers that follow each other.
     *
     * @throws RefusedException    if the request is not valid, or the sequence gives no numbers
     * @throws UnansweredException if no reply comes in time
     */
    public Ids take(String sequence, long count, String requestId) {
        long deadline = System.nanoTime() + properties.timeout().toNanos();
        while (true) {
            long begun = System.nanoTime();
            Duration left = Duration.ofNanos(deadline - begun);
            Duration time = left.compareTo(properties.attemptTimeout()) < 0 ? left : properties.attemptTimeout();
            try {
                return Reply.read(sequence, requestId, ask(sequence, count, requestId, time));
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
                throw new UnansweredException("interrupted", requestId, error);
            } catch (TimeoutException | ExecutionException | KafkaException | ApiException error) {
                Throwable cause = root(error);
                boolean retry = !(cause instanceof ApiException) || cause instanceof RetriableException;
                // An attempt that fails at once waits for its time, too, so that a broker that is down is not flooded.
                Duration pause = time.minusNanos(System.nanoTime() - begun);
                if (!retry || deadline - System.nanoTime() - Math.max(0, pause.toNanos()) <= 0) {
                    throw new UnansweredException(reason(cause), requestId, error);
                }
                sleep(pause, requestId);
            }
        }
    }

    private String ask(String sequence, long count, String requestId, Duration time)
            throws InterruptedException, ExecutionException, TimeoutException {
        var request = new ProducerRecord<>(properties.requestTopic(), sequence, Long.toString(count));
        request.headers().add(REQUEST_ID, requestId.getBytes(StandardCharsets.UTF_8));
        var reply = channel().template.sendAndReceive(request, time);
        // A request that could not be written fails here, with the reason.
        reply.getSendFuture().get(time.toMillis(), TimeUnit.MILLISECONDS);
        return reply.get(time.toMillis(), TimeUnit.MILLISECONDS).value();
    }

    private static void sleep(Duration pause, String requestId) {
        try {
            Thread.sleep(Math.max(0, pause.toMillis()));
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new UnansweredException("interrupted", requestId, error);
        }
    }

    private static Throwable root(Throwable error) {
        return error.getCause() == null ? error : root(error.getCause());
    }

    private static String reason(Throwable cause) {
        return cause.getMessage() == null ? "no reply in time" : cause.getMessage();
    }

    private synchronized ReplyChannel channel() {
        if (closed) {
            throw new IllegalStateException("the template is closed");
        }
        if (channel == null) {
            channel = new ReplyChannel(producer, consumer, properties);
        }
        return channel;
    }

    @Override
    public synchronized void destroy() {
        closed = true;
        if (channel != null) {
            channel.close();
        }
    }
}
