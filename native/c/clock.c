/* Two clocks at one moment, from which what lies between two such moments can be told in either. */

/* Read between two readings of the other, whose middle it is: so that being preempted in between matters half as much. */
static void clocks(int64_t *now)
{
    int64_t before = ticks();
    now[1] = monotonic_ns();
    now[0] = before + (ticks() - before) / 2;
}
