package calls;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import me.ahoo.cosid.segment.IdSegmentDistributor;
import me.ahoo.cosid.segment.IdSegmentDistributorFactory;
import me.ahoo.cosid.test.segment.distributor.IdSegmentDistributorSpec;

/** Runs all that CosId expects of a distributor, unchanged, with the calls of its proxy against a gateway. */
class GatewayTest extends IdSegmentDistributorSpec {
    private static final String GATEWAY = System.getProperty("gateway");
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    @Override
    protected IdSegmentDistributorFactory getFactory() {
        return definition -> {
            Distributor distributor =
                    new Distributor(definition.getNamespace(), definition.getName(), definition.getStep());
            distributor.send("POST", "/segments/distributor/" + distributor.path()
                    + "?offset=" + definition.getOffset() + "&step=" + definition.getStep());
            return distributor;
        };
    }

    /** A sequence of this service does not go back. A retired one refuses as CosId expects. */
    @Override
    protected <T extends IdSegmentDistributor> void setMaxIdBack(T distributor, long maxId) {
        Distributor own = (Distributor) distributor;
        own.send("DELETE", "/v1/sequences/" + own.path().replace("/", "%2F"));
    }

    private record Distributor(String getNamespace, String getName, long getStep) implements IdSegmentDistributor {
        @Override
        public long nextMaxId(long step) {
            return Long.parseLong(send("PATCH", "/segments/" + path() + "?step=" + step));
        }

        String path() {
            return getNamespace + "/" + getName;
        }

        String send(String method, String target) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(GATEWAY + target))
                    .method(method, BodyPublishers.noBody())
                    .build();
            try {
                var response = CLIENT.send(request, BodyHandlers.ofString());
                if (response.statusCode() != 200) {
                    throw new IllegalStateException(response.body());
                }
                return response.body();
            } catch (IOException | InterruptedException error) {
                throw new IllegalArgumentException(error);
            }
        }
    }
}
