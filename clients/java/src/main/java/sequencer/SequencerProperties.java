package sequencer;

import java.time.Duration;

import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.bind.DefaultValue;

/**
 * The settings {@code sequencer.*}.
 *
 * @param requestTopic   {@code topics.requests} of the service
 * @param replyTopic     the topic that replies come on; it must exist, and the service must allow it. With one of its
 *                       own, an application does not read the replies of others
 * @param timeout        time of a request with all its attempts
 * @param attemptTimeout time after which the request is sent again, with the same request ID
 */
@ConfigurationProperties("sequencer")
public record SequencerProperties(
        @DefaultValue("sequencer.requests") String requestTopic,
        @DefaultValue("sequencer.replies") String replyTopic,
        @DefaultValue("30s") Duration timeout,
        @DefaultValue("5s") Duration attemptTimeout) {
}
