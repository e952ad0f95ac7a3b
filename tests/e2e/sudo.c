/* As much of sudo as the tiny guest needs: everybody may do everything, and is asked for nothing. */
#include <string.h>
#include <unistd.h>

int main(int count, char **words)
{
    int first = count > 1 && strcmp(words[1], "-n") == 0 ? 2 : 1;
    if (count <= first || setgid(0) != 0 || setuid(0) != 0)
        return 1;
    execvp(words[first], words + first);
    return 127;
}
