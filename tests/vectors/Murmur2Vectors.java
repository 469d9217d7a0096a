// Writes murmur2.tsv: what Kafka's Java client makes of a few hundred keys. Run once, with the jars
// that `sequencer dev` fetches:
//
//     java -cp "$JARS/*" tests/vectors/Murmur2Vectors.java > tests/vectors/murmur2.tsv
//
// Columns: the key in hexadecimal digits, murmur2 as a signed number, and the partition among as many
// as the heading says.

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.utils.Utils;

public class Murmur2Vectors {
    private static final int[] PARTITIONS = {1, 2, 3, 4, 5, 7, 12, 16, 64, 100, 1000, 10000};

    public static void main(String[] arguments) {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        StringBuilder heading = new StringBuilder("key\tmurmur2");
        for (int partitions : PARTITIONS) {
            heading.append('\t').append(partitions);
        }
        out.print(heading + "\n");
        for (byte[] key : keys()) {
            StringBuilder line = new StringBuilder(HexFormat.of().formatHex(key));
            line.append('\t').append(Utils.murmur2(key));
            for (int partitions : PARTITIONS) {
                line.append('\t').append(BuiltInPartitioner.partitionForKey(key, partitions));
            }
            out.print(line + "\n");
        }
        out.flush();
    }

    private static List<byte[]> keys() {
        List<byte[]> keys = new ArrayList<>();
        String[] texts = {
            "", "a", "ab", "abc", "abcd", "orders", "invoices", "orders-1", "orders:eu", "billing/2026",
            "счёт-№ 7", "заказы", "注文", "주문", "طلبات", "commande-été", "größe", "🧾", "👩‍🚀", "e\u0301",
            "\u0000", "\u007f", "\u0080", "\uffff", " ", "__policy"
        };
        for (String text : texts) {
            keys.add(text.getBytes(StandardCharsets.UTF_8));
        }
        // Every length that a name can have, of every byte: the seed is fixed, so a run repeats.
        Random random = new Random(1);
        for (int length = 1; length <= 255; length++) {
            byte[] key = new byte[length];
            random.nextBytes(key);
            keys.add(key);
        }
        // Bytes above 127 are negative in Java, in each place of a word and in each remainder.
        for (int length = 1; length <= 8; length++) {
            byte[] key = new byte[length];
            java.util.Arrays.fill(key, (byte) 0xff);
            keys.add(key);
        }
        return keys;
    }
}
