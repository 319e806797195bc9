/* What was found on a device, one record at a time: a line on standard output, and a line of JSON
 * in the file that GPU_RESULTS names, if it does. Written at once, so that a later crash loses
 * nothing. */
#ifndef GPU_RESULTS_H
#define GPU_RESULTS_H

void result_text(const char *section, const char *item, const char *text);
void result_number(const char *section, const char *item, double value, const char *unit);

#endif
