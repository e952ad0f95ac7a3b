/* Raw Ethernet frames, for tests of what passes through bridges: in guests, which have nothing else.
 *
 *   frames send INTERFACE HEX        sends one frame
 *   frames show INTERFACE SECONDS    prints every frame that comes in, in hex, a line each
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    unsigned char frame[2048];
    struct sockaddr_ll address = {0};
    int s = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    if (argc != 4 || s < 0) return 2;
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = if_nametoindex(argv[2]);
    if (bind(s, (struct sockaddr *)&address, sizeof address)) return 1;
    if (!strcmp(argv[1], "send")) {
        size_t length = strlen(argv[3]) / 2;
        for (size_t i = 0; i < length && i < sizeof frame; i++) {
            unsigned byte;
            if (sscanf(argv[3] + 2 * i, "%2x", &byte) != 1) return 2;
            frame[i] = byte;
        }
        return send(s, frame, length, 0) == (ssize_t)length ? 0 : 1;
    }
    time_t end = time(NULL) + atoi(argv[3]);
    /* Frames to groups that nobody joined come in as well. */
    struct packet_mreq all = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all);
    while (time(NULL) < end) {
        struct pollfd wait = {.fd = s, .events = POLLIN};
        struct sockaddr_ll from;
        socklen_t size = sizeof from;
        if (poll(&wait, 1, 200) <= 0) continue;
        ssize_t length = recvfrom(s, frame, sizeof frame, 0, (struct sockaddr *)&from, &size);
        if (length <= 0 || from.sll_pkttype == PACKET_OUTGOING) continue;
        for (ssize_t i = 0; i < length; i++) printf("%02x", frame[i]);
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
